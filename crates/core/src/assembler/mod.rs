//! One stream's pure half: samples and source events in, due windows and sensor changes out.

mod event;
mod history;
mod pictures;
mod sensor;
mod sound;
mod spec;
mod stream;

pub use event::{Dropped, DueWindow, Event, Input, Part, Verdict};
pub use spec::{AssemblerError, FrontEnd, SensorSpec, StreamSpec};
pub use stream::Assembler;
