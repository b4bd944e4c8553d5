//! What a sensor is like while nothing is wrong with it, and which thresholds would say so.
//!
//! [`SensorSurvey`] sees what the detector sees. It takes all of it for the sensor's normal behaviour:
//! whatever came near a loss was a false alarm, or half of one. It proposes thresholds that keep clear
//! of that, and never sharper ones: what a fault of this sensor would look like was not seen.

mod propose;
mod quantity;
mod run;
mod sensor;

pub use propose::{Change, Proposal};
pub use quantity::{Limit, Quantity, Range};
pub use sensor::{Second, SensorSurvey};
