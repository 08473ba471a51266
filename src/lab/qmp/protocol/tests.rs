//! Transcripts of real dialogues.
