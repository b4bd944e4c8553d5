use proptest::prelude::*;

use super::*;

const LEAST: &str = r#"
node = "demo"
[model]
bundle = "b"
[[stream]]
id = "desk"
[[stream.source]]
uri = "clip.mkv"
provides = ["audio", "video"]
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("c.toml"), text)
}

/// Messages about `LEAST` with `from` replaced by `to`.
fn messages(from: &str, to: &str) -> Vec<String> {
    assert!(LEAST.contains(from), "{from}");
    match parse(&LEAST.replacen(from, to, 1)) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.engine.device, Device::Auto);
    assert_eq!(config.engine.threads.get(), 1);
    assert_eq!(config.publish, PublishSettings::default());
    assert_eq!(config.health, None);
    assert_eq!(config.streams[0].lateness, Duration::from_millis(200));
    assert_eq!(config.streams[0].align, Align::Start);
}

#[test]
fn a_mistake_is_told_with_its_line_key_and_value() {
    for (from, to, message) in [
        ("node = \"demo\"", "nod = \"demo\"", "c.toml:2: `nod`: unknown field `nod`"),
        ("\"demo\"", "\"a/b\"", "c.toml:2: `node` is \"a/b\", expected one or more of A-Z a-z 0-9 _ -"),
        ("\"demo\"", "3", "c.toml:2: `node`: invalid type: integer `3`, expected a string"),
        ("\"demo\"", "\"demo", "c.toml:2: not TOML: "),
        ("node = \"demo\"", "", "c.toml:1: `node` is missing, expected one or more of A-Z"),
        (
            "id = \"desk\"",
            "id = \"desk\"\nlateness_ms = -1",
            "c.toml:7: `stream[0].lateness_ms` is -1, expected a whole number from 0 to 60000",
        ),
        (
            "[model]",
            "[engine]\ndevice = \"gpu\"\n[model]",
            "c.toml:4: `engine.device` is \"gpu\", expected one of \"auto\", \"cuda\", \"cpu\", \"tract\"",
        ),
        (
            "[model]",
            "[publish.mqtt]\nurl = \"http://h\"\n[model]",
            "c.toml:4: `publish.mqtt.url` is \"http://h\", expected mqtt://HOST[:PORT]",
        ),
        (
            "[model]",
            "[health]\nlisten = \"9464\"\n[model]",
            "c.toml:4: `health.listen` is \"9464\", expected ADDRESS:PORT",
        ),
        ("[\"audio\", \"video\"]", "[]", "c.toml:9: `stream[0].source[0].provides` is empty"),
        ("uri = \"clip.mkv\"", "", "c.toml:7: `stream[0].source[0].uri` is missing, expected a `uri` or"),
        (
            "provides = ",
            "pipeline = \"x\"\nprovides = ",
            "c.toml:9: `stream[0].source[0].pipeline` is \"x\", expected no `pipeline` beside a `uri`",
        ),
    ] {
        let messages = messages(from, to);
        assert!(messages[0].starts_with(message), "{messages:?} for {to}");
    }
}

#[test]
fn one_mistake_does_not_hide_another() {
    let text =
        LEAST.replace("\"demo\"", "\"\"").replace("id =", "ids = 1\nid =").replace("[model]", "[modl]");
    let error = parse(&text).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(lines[0].starts_with("c.toml:2: `node` is \"\""));
    assert!(lines[1].starts_with("c.toml:3: `modl`: unknown field `modl`"));
    assert!(lines[2].starts_with("c.toml:6: `stream[0].ids`: unknown field `ids`"));
}

#[test]
fn a_password_in_a_url_is_refused_and_not_repeated() {
    let messages = messages("[model]", "[publish.mqtt]\nurl = \"mqtt://me:secret@h\"\n[model]");
    assert!(messages[0].contains("`username` and `password_file`"), "{messages:?}");
    assert!(!messages[0].contains("secret"));
}

#[test]
fn two_streams_need_two_ids() {
    let second = LEAST.split_once("[[stream]]").unwrap().1;
    let error = parse(&format!("{LEAST}[[stream]]{second}")).unwrap_err().to_string();
    assert!(error.contains("`stream[1].id` is \"desk\" a second time"), "{error}");
}

#[test]
fn thresholds_are_bounded_and_can_be_switched_off() {
    let with = |table: &str| parse(&format!("{LEAST}[stream.sensor.video]\n{table}\n"));
    assert!(with("black = false\nfrozen = { after_ms = 500 }").is_ok());
    for (table, message) in [
        ("black = true", "`stream[0].sensor.video.black`: invalid value: boolean `true`"),
        ("frozen = { tolerance = 2.0 }", "`stream[0].sensor.video.frozen.tolerance` is 2, expected"),
        ("frozen = { after_ms = 0 }", "`stream[0].sensor.video.frozen.after_ms` is 0, expected"),
        ("frozen = { after = 1 }", "unknown field `after`"),
        ("clipped = { share = 1.5 }", "`stream[0].sensor.video.clipped.share` is 1.5, expected"),
        (
            "ignore = [{ x = 0.0, y = 0.9, width = 0.5, height = 2.0 }]",
            "`stream[0].sensor.video.ignore[0].height` is 2, expected a share",
        ),
        ("min_coverage = nan", "`stream[0].sensor.video.min_coverage` is NaN, expected a share"),
    ] {
        let error = with(table).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

proptest! {
    /// Reading again what is left after a misfit was taken out must come to an end.
    #[test]
    fn no_text_keeps_the_reader_busy_for_ever(lines in prop::collection::vec(
        prop::sample::select(LEAST.lines().chain([
            "x = 1", "[[stream]]", "[stream.sensor.video]", "frozen = 3", "source = 1", "stream = []",
            "[[stream.source]]", "provides = [1, \"a\"]", "[engine]", "threads = []", "[publish.mqtt]",
        ]).collect::<Vec<_>>()),
        0..30,
    )) {
        // Whether it is right does not matter here.
        let _ = parse(&lines.join("\n"));
    }
}
