//! The configuration: read whole, checked whole, every mistake reported at once.
//!
//! Three steps, each pure: the file as it is written (`raw`), what it says (`settings`, valid by
//! construction), and what that means for a model (`plan`).

mod plan;
mod problem;
mod raw;
mod settings;
mod thresholds;
mod validate;

pub use plan::StreamPlan;
pub(crate) use plan::output;
pub use problem::{ConfigError, Fault, Place, Problem};
pub use settings::{
    Align, Config, Device, EngineSettings, MediaSettings, MqttSettings, PublishSettings, SensorSettings,
    SourceSettings, StreamSettings, Transport,
};
