//! How to reach a broker, and why it refuses.

use std::path::Path;
use std::sync::Arc;

use rumqttc::{
    ConnectReturnCode, ConnectionError, LastWill, MqttOptions, QoS, TlsConfiguration, Transport as Wire,
};
use rustls::{ClientConfig, RootCertStore};

use super::topics::Topics;
use crate::config::{MqttSettings, Transport};
use crate::publish::PublishError;

/// A broker that says nothing for this long is taken for gone, and so are we by it.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(10);
/// Room for a label of a thousand classes and their names.
const MAX_PACKET: usize = 256 * 1024;

/// Options of a client for the broker of `settings`. Reads the files that they name.
pub fn options(
    settings: &MqttSettings,
    topics: &Topics,
    offline: Vec<u8>,
) -> Result<MqttOptions, PublishError> {
    let (address, wire) = match settings.transport {
        Transport::Tcp => (&settings.host, Wire::tcp()),
        Transport::Tls => (&settings.host, Wire::tls_with_config(tls(settings)?)),
        // The client library wants the whole address here.
        Transport::WebSocket => (&settings.url, Wire::ws()),
        Transport::SecureWebSocket => (&settings.url, Wire::wss_with_config(tls(settings)?)),
    };
    let mut options = MqttOptions::new(&settings.client_id, address, settings.port);
    options
        .set_transport(wire)
        .set_keep_alive(KEEP_ALIVE)
        .set_max_packet_size(MAX_PACKET, MAX_PACKET)
        // What is on its way is in our own outbox; a session of the broker would only double it.
        .set_clean_session(true)
        .set_last_will(LastWill::new(topics.status(), offline, QoS::AtLeastOnce, true));
    if let Some(username) = &settings.username {
        let password = match &settings.password_file {
            Some(file) => String::from_utf8_lossy(&read("publish.mqtt.password_file", file)?).into_owned(),
            None => String::new(),
        };
        options.set_credentials(username, password.lines().next().unwrap_or_default());
    }
    Ok(options)
}

/// What went wrong with a connection, for people.
pub fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword => "the broker refuses the user name or password".into(),
            ConnectReturnCode::NotAuthorized => "the broker does not authorise this client".into(),
            ConnectReturnCode::BadClientId => "the broker refuses the client id".into(),
            ConnectReturnCode::RefusedProtocolVersion => "the broker does not speak MQTT 3.1.1".into(),
            ConnectReturnCode::ServiceUnavailable => "the broker says it is unavailable".into(),
            ConnectReturnCode::Success => "the broker accepts, and the client does not".into(),
        },
        ConnectionError::NetworkTimeout => "no answer".into(),
        other => other.to_string(),
    }
}

fn tls(settings: &MqttSettings) -> Result<TlsConfiguration, PublishError> {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(file) = &settings.ca_file {
        let ca = read("publish.mqtt.ca_file", file)?;
        return Ok(TlsConfiguration::Simple { ca, alpn: None, client_auth: None });
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConfiguration::Rustls(Arc::new(config)))
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, PublishError> {
    std::fs::read(file).map_err(|source| {
        let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        PublishError::File { key, path, source }
    })
}
