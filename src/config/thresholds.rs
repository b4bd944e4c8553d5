//! The thresholds of a sensor: every bound.

use toml::Spanned;

use cmpt_core::dropout::Region;

use super::raw::{RawSensor, Switch};
use super::settings::SensorSettings;
use super::validate::Check;

/// Longest threshold, a day; beyond it lies a mistake in the unit.
pub(super) const MAX_THRESHOLD_MS: i64 = 86_400_000;

impl Check<'_> {
    pub(super) fn sensor(&mut self, prefix: &str, raw: Spanned<RawSensor>) -> SensorSettings {
        let place = self.document.place(&raw.span(), prefix);
        let thresholds = raw.into_inner();
        let key = |name: &str| format!("{prefix}.{name}");
        self.whole(
            thresholds.no_buffers_after_ms.clone(),
            1,
            &key("no_buffers_after_ms"),
            0..=MAX_THRESHOLD_MS,
        );
        self.whole(thresholds.recover_after_ms.clone(), 0, &key("recover_after_ms"), 0..=MAX_THRESHOLD_MS);
        self.share(thresholds.min_coverage.clone(), &key("min_coverage"));
        self.delivery(&thresholds, &key);
        self.video(&thresholds, &key);
        self.audio(&thresholds, &key);
        SensorSettings { place, thresholds }
    }

    fn delivery(&mut self, raw: &RawSensor, key: &dyn Fn(&str) -> String) {
        self.threshold(&raw.trickle, &key("trickle"), |trickle| {
            [after(trickle.after_ms), ("share", trickle.share.into(), 0.0, 1.0)]
        });
        self.threshold(&raw.bad_timestamps, &key("bad_timestamps"), |bad| [after(bad.after_ms)]);
    }

    fn video(&mut self, raw: &RawSensor, key: &dyn Fn(&str) -> String) {
        self.threshold(&raw.black, &key("black"), |black| {
            [
                after(black.after_ms),
                ("luma", black.luma.into(), 0.0, 1.0),
                ("lit_share", black.lit_share.into(), 0.0, 1.0),
                ("deviation", black.deviation.into(), 0.0, 1.0),
            ]
        });
        self.threshold(&raw.bright, &key("bright"), |bright| {
            [
                after(bright.after_ms),
                ("luma", bright.luma.into(), 0.0, 1.0),
                ("share", bright.share.into(), 0.0, 1.0),
            ]
        });
        self.threshold(&raw.frozen, &key("frozen"), |frozen| {
            [
                after(frozen.after_ms),
                ("tolerance", frozen.tolerance.into(), 0.0, 1.0),
                ("collapse", frozen.collapse.into(), 0.0, 1.0),
                ("ignored_share", frozen.ignored_share.into(), 0.0, 1.0),
            ]
        });
        for (index, region) in raw.ignore.iter().flat_map(|ignore| ignore.get_ref().iter().enumerate()) {
            let Region { x, y, width, height } = *region.get_ref();
            for (name, value) in [("x", x), ("y", y), ("width", width), ("height", height)] {
                if !(0.0..=1.0).contains(&value) {
                    let key = key(&format!("ignore[{index}].{name}"));
                    self.value(&region.span(), &key, value.to_string(), "a share from 0 to 1");
                }
            }
        }
    }

    fn audio(&mut self, raw: &RawSensor, key: &dyn Fn(&str) -> String) {
        self.threshold(&raw.silent, &key("silent"), |silent| {
            [
                after(silent.after_ms),
                // 24-bit sound bottoms out at -144 dB; 0 would call all sound silence.
                ("below_dbfs", silent.below_dbfs.into(), -144.0, -1.0),
                ("drop_db", silent.drop_db.into(), 0.0, 144.0),
                ("dead_dbfs", silent.dead_dbfs.into(), -144.0, -1.0),
            ]
        });
        self.threshold(&raw.clipped, &key("clipped"), |clipped| {
            [
                after(clipped.after_ms),
                ("level", clipped.level.into(), 0.0, 1.0),
                ("share", clipped.share.into(), 0.0, 1.0),
            ]
        });
        self.threshold(&raw.stuck, &key("stuck"), |stuck| {
            [
                after(stuck.after_ms),
                ("constant", stuck.constant.into(), 0.0, 1.0),
                ("dead_dbfs", stuck.dead_dbfs.into(), -144.0, -1.0),
                ("residue", stuck.residue.into(), 0.0, 1.0),
                ("rise_db", stuck.rise_db.into(), 0.0, 144.0),
            ]
        });
    }

    /// Checks the fields of a threshold that is switched on; both bounds are inclusive.
    fn threshold<T, const N: usize>(
        &mut self,
        switch: &Option<Spanned<Switch<T>>>,
        key: &str,
        fields: impl Fn(&T) -> [(&'static str, f64, f64, f64); N],
    ) {
        let Some(switch) = switch else { return };
        let Switch::On(threshold) = switch.get_ref() else { return };
        for (name, value, low, high) in fields(threshold) {
            // Written so that NaN is out of bounds.
            if !(low <= value && value <= high) {
                let expected = format!("a number from {low} to {high}");
                self.value(&switch.span(), &format!("{key}.{name}"), value.to_string(), &expected);
            }
        }
    }
}

/// The bounds of every time to trip.
fn after(after_ms: u64) -> (&'static str, f64, f64, f64) {
    ("after_ms", after_ms as f64, 1.0, MAX_THRESHOLD_MS as f64)
}
