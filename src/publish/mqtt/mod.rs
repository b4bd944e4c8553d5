//! MQTT: a broker that comes and goes, and labels that do not.

mod broker;
mod outbox;
mod session;
mod topics;

pub use session::Mqtt;
