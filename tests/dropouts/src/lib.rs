//! A labelled benchmark of dropout detection.
//!
//! A *clip* is what one sensor delivers in two minutes, planned from a seed: a scene or a sound that
//! tempts a detector, and in every other clip faults whose time and reason are known exactly, because
//! they were put there. Content is made first ([`camera`], [`microphone`]), coded or not ([`coding`]),
//! and then delivered ([`delivery`]): on time, late, wrongly stamped or not at all. A detector's answer
//! is a list of [`lines::Alarm`]s, and [`score`] compares them with the truth.
//!
//! Pictures are grey, 320x240 at 10 a second; sound is mono at 16 kHz in blocks of 20 ms.

pub mod camera;
pub mod clip;
pub mod coding;
pub mod delivery;
pub mod fault;
pub mod ffmpeg;
pub mod lines;
pub mod microphone;
pub mod ours;
pub mod picture;
pub mod scene;
pub mod score;
pub mod sound;
pub mod suite;
pub mod table;
