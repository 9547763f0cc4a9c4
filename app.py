"""Emotion Studio: the frame around the pages. Page config, language, model, navigation."""

import streamlit as st

from pages.shared import frame, language, model_choice
from pages.shared.language import say

st.set_page_config(page_title="Emotion Studio", page_icon="💬", layout="centered")

page = st.navigation([
    st.Page("pages/live.py", title=say("live.title"), icon=":material/chat:", default=True),
    st.Page("pages/batch.py", title=say("batch.title"), icon=":material/table_view:"),
    st.Page("pages/training.py", title=say("training.title"), icon=":material/model_training:"),
    st.Page("pages/models.py", title=say("models.title"), icon=":material/deployed_code:"),
])

with st.sidebar:
    st.markdown("## Emotion Studio")
    language.switch()
    model_choice.picker()

frame.enter()
page.run()
