//! Real files of sound and pictures, made on the spot.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use gstreamer as gst;
use gstreamer::prelude::*;

/// Plays a pipeline to its end, into a file.
pub fn play(description: &str, path: &Path) {
    gst::init().unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pipeline = gst::parse::launch(&format!("{description} ! filesink name=file")).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("file").unwrap().set_property("location", path);
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    pipeline.set_state(gst::State::Null).unwrap();
    match end.expect("the pipeline ends").view() {
        gst::MessageView::Eos(_) => (),
        other => panic!("{description}: {other:?}"),
    }
}

/// Writes a second of sound at 16 kHz.
pub fn write_second(path: &Path, sample: impl Fn(u32) -> i16) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    (0..16_000).for_each(|at| writer.write_sample(sample(at)).unwrap());
    writer.finalize().unwrap();
}
