//! The avdigits rig: composes clips of spoken and handwritten digits, plays them as live sensors that
//! fail by script, and scores the labels that come back.
//!
//! An avdigits stream is 320x240 at 10 frames a second, the digit scaled to a centred 224x224 square
//! on black, a new digit each second on the second; its sound is 16 kHz mono with the spoken digit
//! centred in the same second.

pub mod clip;
pub mod digits;
pub mod faults;
pub mod live;
pub mod programme;
pub mod score;
pub mod sensor;
pub mod speech;
pub mod torment;
pub mod tormentor;
pub mod truth;
pub mod watch;
