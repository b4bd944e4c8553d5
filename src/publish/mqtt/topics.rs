//! The topics of a node. Their depth is fixed, so that subscribers can take them apart.

/// Topics below `<base>/<node>`.
#[derive(Clone, Debug)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// Topics of `node` below `base`; neither holds a `/`.
    pub fn new(base: &str, node: &str) -> Self {
        Self { root: format!("{base}/{node}") }
    }

    /// State of the daemon, retained; also the last will.
    pub fn status(&self) -> String {
        format!("{}/status", self.root)
    }

    /// What the daemon is, retained.
    pub fn info(&self) -> String {
        format!("{}/info", self.root)
    }

    /// Labels of a stream, one message a window, never retained.
    pub fn label(&self, stream: &str) -> String {
        format!("{}/stream/{stream}/label", self.root)
    }

    /// The latest label of a stream, retained.
    pub fn state(&self, stream: &str) -> String {
        format!("{}/stream/{stream}/state", self.root)
    }

    /// State of a sensor, retained.
    pub fn sensor(&self, stream: &str, modality: &str) -> String {
        format!("{}/stream/{stream}/sensor/{modality}", self.root)
    }
}
