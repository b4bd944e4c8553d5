//! What a pipeline tells the publishers.

use std::sync::Arc;

use super::payload::{Info, Label, Sensor};

/// One thing to publish.
#[derive(Clone, Debug)]
pub enum Message {
    /// What the daemon is; once, before anything else.
    Info(Arc<Info>),
    /// The outcome of a window; each must arrive.
    Label(Arc<Label>),
    /// A sensor changed its state; the latest counts.
    Sensor {
        /// Stream of the sensor.
        stream: String,
        /// Its modality.
        modality: String,
        /// Its state.
        sensor: Sensor,
    },
}
