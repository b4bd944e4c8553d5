//! Clips as files, by a real ffmpeg.

use std::path::Path;

use dropouts::clip::{Clip, Coding, Material, Network, Sensor};
use dropouts::coding::{CodingError, Decoder, read_pictures};
use dropouts::ffmpeg::Filters;
use dropouts::sound::AAC_FRAME;
use dropouts::suite::{Reals, judge, judge_file, write};

fn plan(sensor: Sensor, coded: bool) -> Clip {
    let fits = |clip: &Clip| {
        clip.material.sensor() == sensor
            && (clip.coding != Coding::Lossless) == coded
            && clip.network == Network::Steady
            && !clip.faults.is_empty()
    };
    (0..400).map(|seed| Clip::plan(seed, [&[], &[]])).find(fits).expect("some seed plans it")
}

#[test]
fn a_clip_that_is_not_coded_is_the_same_from_a_file_and_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    for sensor in [Sensor::Audio, Sensor::Video] {
        let clip = plan(sensor, false);
        let path = write(&clip, &Reals::default(), folder.path()).unwrap();
        match clip.material {
            Material::Sound(kind) => {
                let (mut microphone, mut decoder) =
                    (clip.microphone(kind, None), Decoder::sound(&path).unwrap());
                assert!((0..6000).all(|_| decoder.block() == Some(microphone.block())));
            }
            Material::Scene(kind) => {
                let (mut camera, mut decoder) = (clip.camera(kind, None), Decoder::pictures(&path).unwrap());
                assert!((0..1200).all(|_| decoder.picture() == Some(camera.picture())));
            }
        }
        let from_memory = judge(&clip, &Reals::default(), folder.path(), true).unwrap();
        let from_file = judge_file(&clip, &path, true).unwrap();
        assert_eq!(from_memory.ours, from_file.ours);
        assert_eq!(from_memory.ffmpeg, from_file.ffmpeg);
    }
}

#[test]
fn a_coder_changes_sound_and_delays_it_by_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let clip = plan(Sensor::Audio, true);
    let path = write(&clip, &Reals::default(), folder.path()).unwrap();
    let Material::Sound(kind) = clip.material else { panic!("{clip:?}") };
    let (mut microphone, mut decoder) = (clip.microphone(kind, None), Decoder::sound(&path).unwrap());
    let made: Vec<f32> = (0..500).flat_map(|_| microphone.block()).collect();
    let read: Vec<f32> = std::iter::from_fn(|| decoder.block()).take(500).flatten().collect();
    let (mut signal, mut error) = (0.0f64, 0.0f64);
    for (made, read) in made.iter().zip(&read[AAC_FRAME..]) {
        signal += f64::from(made * made);
        error += f64::from((made - read) * (made - read));
    }
    assert!(error > 0.0 && error < 0.3 * signal, "{error} of {signal}");
}

#[test]
fn what_is_no_clip_is_said() {
    let error = read_pictures(Path::new("no/such.mp4")).unwrap_err();
    assert_eq!(error.to_string(), "read no/such.mp4: expected pictures, found none");
    let filters = Filters::over_file(Path::new("no/such.mp4"), Sensor::Video).unwrap();
    assert!(matches!(filters.finish("a"), Err(CodingError::Failed { .. })));
}
