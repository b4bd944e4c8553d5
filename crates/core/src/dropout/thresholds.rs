//! Thresholds and hysteresis, with documented defaults. Durations end in `_ms`.

use serde::{Deserialize, Serialize};

/// Thresholds of one sensor.
#[derive(Clone, Debug, PartialEq)]
pub enum SensorThresholds {
    /// A camera.
    Video(VideoThresholds),
    /// A microphone.
    Audio(AudioThresholds),
}

/// What any sensor must deliver, whatever it shows or sounds like.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryThresholds {
    /// Nothing for this long: `no_buffers`; 0 switches the check off. Default 1000: several times what
    /// a jitter buffer or a Wi-Fi roam holds back, and half of what any content check waits.
    pub no_buffers_after_ms: u64,
    /// Too few samples.
    pub trickle: Option<TrickleThreshold>,
    /// Samples that cannot be placed in time.
    pub bad_timestamps: Option<BadTimestampsThreshold>,
    /// Whether an error that the source reports is a loss at once. Default true.
    pub error: bool,
    /// Whether the end of the source is a loss at once. Default true.
    pub eos: bool,
    /// Signal must be good for this long to be healthy again. Default 500: enough to outlast the burst
    /// with which a source comes back.
    pub recover_after_ms: u64,
    /// Least share of a window that samples must cover. Default 0.5: with less than half, the model is
    /// better off without.
    pub min_coverage: f32,
}

/// Thresholds of a camera. A `None` switches a check off.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoThresholds {
    /// Delivery.
    pub delivery: DeliveryThresholds,
    /// Black picture.
    pub black: Option<BlackThreshold>,
    /// Saturated picture.
    pub bright: Option<BrightThreshold>,
    /// Frozen picture.
    pub frozen: Option<FrozenThreshold>,
    /// Parts of the picture that no check looks at, such as a burnt-in clock. Default none.
    pub ignore: Vec<Region>,
}

/// Thresholds of a microphone. A `None` switches a check off.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioThresholds {
    /// Delivery.
    pub delivery: DeliveryThresholds,
    /// Silence.
    pub silent: Option<SilentThreshold>,
    /// Clipped sound.
    pub clipped: Option<ClippedThreshold>,
    /// A constant, or hum.
    pub stuck: Option<StuckThreshold>,
}

/// When too few samples arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrickleThreshold {
    /// The time over which they are counted. Default 2000.
    pub after_ms: u64,
    /// Fewer than this share of what the sensor usually delivers. Default 0.2: cameras halve their
    /// rate in the dark, and halve it again, on purpose.
    pub share: f32,
}

/// When timestamps make a sensor useless.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BadTimestampsThreshold {
    /// Samples arrive, and for this long not one could be placed in time. Default 1000, as for
    /// samples that do not come at all.
    pub after_ms: u64,
}

/// When a picture counts as black.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlackThreshold {
    /// Time to trip. Default 2000: a fade in a film passes through black in less.
    pub after_ms: u64,
    /// A pixel is dark up to this luma, in [0, 1]. Default 0.10: black in limited range is 0.063.
    pub luma: f32,
    /// Black when the share of lit pixels is at most this. Default 0.0025: the digits of a burnt-in clock
    /// light 0.22 %, and more than two street lamps are a picture.
    pub lit_share: f32,
    /// And when the picture's parts, without the few that differ most, differ in luma by no more than this,
    /// as standard deviation, and that is a quarter of what it was; or by no more than half of this, whatever it was.
    /// Default 0.006, one and a half of 255 levels: a cover lets in some light, a night scene without a lamp still
    /// has a skyline, a dead sensor has noise only, which the mean over a part takes away.
    pub deviation: f32,
}

/// When a picture counts as saturated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrightThreshold {
    /// Time to trip. Default 2000: exposure control settles in less.
    pub after_ms: u64,
    /// A pixel is saturated from this luma on, in [0, 1]. Default 0.97.
    pub luma: f32,
    /// Bright when at least this share of pixels is. Default 0.98: a burnt-in clock takes one in a hundred,
    /// the ink of a white page more than two.
    pub share: f32,
}

/// When a picture counts as frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrozenThreshold {
    /// Time to trip. Default 2000.
    pub after_ms: u64,
    /// A picture stands while the mean absolute luma difference to the first standing one, in [0, 1], is
    /// at most this. How long it may, if longer than `after_ms`, is learnt. Default 0.001.
    pub tolerance: f32,
    /// A source with noise stands, too, while three fifths of the picture's parts change by at most this
    /// share of the least that they changed in any time to trip before. Default 0.5: of a live, still
    /// scene it is about 1; 0 admits exact repeats only.
    pub collapse: f32,
    /// Share of the picture's parts that may change all the same: those that change most are left out
    /// of the difference. Default 0.02, the running digits of a burnt-in clock.
    pub ignored_share: f32,
}

/// When sound counts as silent. Levels are without the constant part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SilentThreshold {
    /// Time to trip. Default 2000.
    pub after_ms: u64,
    /// Silent below this level if the level also fell by `drop_db`. Default -60.
    pub below_dbfs: f32,
    /// How far the level must be below the sensor's own noise floor. Default 20: a room whose
    /// ventilation stops falls by less, an unplugged microphone by more.
    pub drop_db: f32,
    /// Silent below this level whatever came before. Default -80: any room, through any microphone,
    /// is louder.
    pub dead_dbfs: f32,
}

/// When sound counts as clipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClippedThreshold {
    /// Time to trip. Default 2000: a shout or a door overdrives a microphone for less.
    pub after_ms: u64,
    /// A sample is clipped from this absolute value on. Default 0.99.
    pub level: f32,
    /// A block is clipped when at least this share of its samples is. Default 0.1: a loud master
    /// touches full scale in a few samples of a block, an overdriven input stays there. So is one of more
    /// power than a sine of this `level` has, whose corners a coder has rounded off.
    pub share: f32,
}

/// When sound counts as stuck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StuckThreshold {
    /// Time to trip. Default 2000.
    pub after_ms: u64,
    /// A constant of at least this absolute value, without sound above `dead_dbfs`, is stuck.
    /// Default 0.002.
    pub constant: f32,
    /// Sound below this level beside the constant is none, and so is sound 60 dB below the constant, or 12 dB if
    /// the constant is new. Default -80.
    pub dead_dbfs: f32,
    /// Hum: what a period of 50 or 60 Hz does not explain is at most this share of the power.
    /// Default 0.02, that is 20 dB below the hum.
    pub residue: f32,
    /// Hum must be louder than the sensor's own noise floor by this. Default 10: a room with a
    /// refrigerator hums always.
    pub rise_db: f32,
}

/// A rectangle of a picture, in shares of its width and height from the top left corner.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Left edge, in [0, 1].
    pub x: f32,
    /// Upper edge, in [0, 1].
    pub y: f32,
    /// Width, in [0, 1].
    pub width: f32,
    /// Height, in [0, 1].
    pub height: f32,
}

impl SensorThresholds {
    /// What the sensor must deliver.
    pub fn delivery(&self) -> &DeliveryThresholds {
        match self {
            Self::Video(thresholds) => &thresholds.delivery,
            Self::Audio(thresholds) => &thresholds.delivery,
        }
    }
}

impl Region {
    /// Whether the point at the given shares of width and height lies in it.
    pub fn contains(&self, x: f32, y: f32) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }
}

impl Default for VideoThresholds {
    fn default() -> Self {
        Self {
            delivery: DeliveryThresholds::default(),
            black: Some(BlackThreshold::default()),
            bright: Some(BrightThreshold::default()),
            frozen: Some(FrozenThreshold::default()),
            ignore: Vec::new(),
        }
    }
}

impl Default for AudioThresholds {
    fn default() -> Self {
        Self {
            delivery: DeliveryThresholds::default(),
            silent: Some(SilentThreshold::default()),
            clipped: Some(ClippedThreshold::default()),
            stuck: Some(StuckThreshold::default()),
        }
    }
}

impl Default for DeliveryThresholds {
    fn default() -> Self {
        Self {
            no_buffers_after_ms: 1000,
            trickle: Some(TrickleThreshold::default()),
            bad_timestamps: Some(BadTimestampsThreshold::default()),
            error: true,
            eos: true,
            recover_after_ms: 500,
            min_coverage: 0.5,
        }
    }
}

impl Default for TrickleThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, share: 0.2 }
    }
}

impl Default for BadTimestampsThreshold {
    fn default() -> Self {
        Self { after_ms: 1000 }
    }
}

impl Default for BlackThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, luma: 0.10, lit_share: 0.0025, deviation: 0.006 }
    }
}

impl Default for BrightThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, luma: 0.97, share: 0.98 }
    }
}

impl Default for FrozenThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, tolerance: 0.001, collapse: 0.5, ignored_share: 0.02 }
    }
}

impl Default for SilentThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, below_dbfs: -60.0, drop_db: 20.0, dead_dbfs: -80.0 }
    }
}

impl Default for ClippedThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, level: 0.99, share: 0.1 }
    }
}

impl Default for StuckThreshold {
    fn default() -> Self {
        Self { after_ms: 2000, constant: 0.002, dead_dbfs: -80.0, residue: 0.02, rise_db: 10.0 }
    }
}
