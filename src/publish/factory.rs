//! Which publishers: those that are configured.

use super::stdout::Stdout;
use super::{PublishError, Publisher};
use crate::config::{MqttSettings, PublishSettings};

/// The publishers of node `node` in its run `boot_id`. Nothing is connected yet.
pub fn open(
    settings: &PublishSettings,
    node: &str,
    boot_id: &str,
) -> Result<Vec<Box<dyn Publisher>>, PublishError> {
    let mut publishers: Vec<Box<dyn Publisher>> = Vec::new();
    if settings.stdout {
        publishers.push(Box::new(Stdout::new(std::io::stdout())));
    }
    if let Some(settings) = &settings.mqtt {
        publishers.push(mqtt(settings, node, boot_id)?);
    }
    Ok(publishers)
}

#[cfg(feature = "mqtt")]
fn mqtt(settings: &MqttSettings, node: &str, boot_id: &str) -> Result<Box<dyn Publisher>, PublishError> {
    Ok(Box::new(super::mqtt::Mqtt::new(settings, node, boot_id)?))
}

#[cfg(not(feature = "mqtt"))]
fn mqtt(_: &MqttSettings, _: &str, _: &str) -> Result<Box<dyn Publisher>, PublishError> {
    Err(PublishError::NotBuilt { what: "MQTT", feature: "mqtt" })
}
