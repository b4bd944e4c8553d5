//! Sources through GStreamer: one pipeline and one thread per source.

mod buffer;
mod graph;
mod message;
mod player;
mod tails;

pub(super) use player::GstSource;
