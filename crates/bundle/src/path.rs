//! Paths inside a bundle.

use std::path::{Component, Path};

/// What [`is_plain`] expects, in words.
pub(crate) const PLAIN: &str = "a plain relative path inside the bundle";

/// Whether `path` names a file inside the bundle, and in one way only: normal components joined by
/// single slashes; no root, `.`, `..` or backslash.
pub(crate) fn is_plain(path: &str) -> bool {
    let components: Option<Vec<_>> = Path::new(path)
        .components()
        .map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    components.is_some_and(|c| !c.is_empty() && c.join("/") == path) && !path.contains(['\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        for good in ["audio.onnx", "int8/audio.onnx", "README.md"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", ".", "..", "../a", "/a", "a/../b", "./a", "a/./b", "a//b", "a/", "a\\b", "a\0"] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
