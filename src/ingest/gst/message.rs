//! What GStreamer reports, as a [`SourceError`].

use gstreamer as gst;

use crate::ingest::source::without_credentials;
use crate::ingest::{Media, SourceError};

/// The error that `report` of a pipeline playing `media` stands for.
pub(super) fn source_error(media: &Media, report: &gst::message::Error) -> SourceError {
    let media = media.clone();
    let error = report.error();
    let message = text(&error, report.debug().as_deref());
    if error.matches(gst::CoreError::MissingPlugin) || error.matches(gst::StreamError::CodecNotFound) {
        SourceError::NoPlugin { media, wanted: message }
    } else if error.kind::<gst::ResourceError>().is_some() {
        SourceError::Unreachable { media, message }
    } else if error.kind::<gst::StreamError>().is_some() {
        SourceError::Corrupt { media, message }
    } else {
        SourceError::Element { media, message }
    }
}

/// A plugin that lacks.
#[derive(Clone, Debug)]
pub(super) struct MissingPlugin {
    /// What it would be for, such as `H.264 (High Profile) decoder`.
    pub(super) name: String,
    /// Media type of what it would decode, such as `video/x-h264`.
    decodes: Option<String>,
}

impl MissingPlugin {
    /// Whether it could be why there is no stream of `kind`.
    pub(super) fn may_be_for(&self, kind: &str) -> bool {
        let major = self.decodes.as_deref().and_then(|decodes| decodes.split('/').next());
        // A container, say, holds anything.
        !matches!(major, Some("audio" | "video") if major != Some(kind))
    }
}

/// What a `missing-plugin` message says is missing.
pub(super) fn missing_plugin(element: &gst::message::Element) -> Option<MissingPlugin> {
    let structure = element.structure().filter(|structure| structure.name() == "missing-plugin")?;
    let caps = structure.get::<gst::Caps>("detail").ok();
    let decodes = caps.and_then(|caps| Some(caps.structure(0)?.name().to_string()));
    Some(MissingPlugin { name: structure.get("name").ok()?, decodes })
}

/// GStreamer's message and the detail that it puts on the second line of its debug text.
fn text(error: &gst::glib::Error, debug: Option<&str>) -> String {
    let message = error.message().trim_end_matches('.');
    let detail = debug.and_then(|debug| debug.split_once('\n')).map(|(_, detail)| detail.trim());
    let text = match detail.filter(|detail| !detail.is_empty()) {
        Some(detail) => {
            let detail = detail.trim_end_matches("(Generic error)").trim_end().trim_end_matches('.');
            format!("{message}: {}", detail.replace('\n', " "))
        }
        None => message.to_owned(),
    };
    without_credentials(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: impl gst::MessageErrorDomain, debug: &str, expected: &str) {
        gst::init().unwrap();
        let report = gst::message::Error::builder(error, "Could not do it.").debug(debug).build();
        let gst::MessageView::Error(report) = report.view() else { panic!("not an error") };
        let media = Media::Uri("rtsp://u:p@h/s".into());
        assert_eq!(source_error(&media, report).to_string(), expected);
    }

    #[test]
    fn the_kind_of_report_decides_the_kind_of_error() {
        let debug = "x.c(1): f ():\nNo rtsp://u:p@h. (Generic error)";
        for (error, expected) in [
            (gst::ResourceError::OpenRead, "reach rtsp://***@h/s: Could not do it: No rtsp://***@h"),
            (gst::ResourceError::OpenReadWrite, "reach rtsp://***@h/s: Could not do it: No rtsp://***@h"),
            (gst::ResourceError::NotAuthorized, "reach rtsp://***@h/s: Could not do it: No rtsp://***@h"),
        ] {
            check(error, debug, expected);
        }
        check(gst::StreamError::Decode, "x.c(1): f ():", "decode rtsp://***@h/s: Could not do it");
        check(gst::CoreError::Failed, debug, "play rtsp://***@h/s: Could not do it: No rtsp://***@h");
        check(
            gst::CoreError::MissingPlugin,
            "x.c(1)",
            "play rtsp://***@h/s: no GStreamer plugin for Could not do it",
        );
    }
}
