//! The edges between the rooms, as `ARCHITECTURE.md` draws them, read from `cargo metadata` and from the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde::Deserialize;

/// Which rooms each room is built from. Dependencies of tests, and optional ones that only tests turn on,
/// are not drawn.
const EDGES: [(&str, &[&str]); 8] = [
    ("cmpt-kernels", &[]),
    ("cmpt-core", &["cmpt-kernels"]),
    ("cmpt-bundle", &["cmpt-core"]),
    ("cmpt-onnx", &[]),
    ("cmpt", &["cmpt-bundle", "cmpt-core"]),
    ("cmpt-train", &["cmpt-bundle", "cmpt-core", "cmpt-kernels", "cmpt-onnx"]),
    ("avdigits", &[]),
    ("dropouts", &["cmpt-core"]),
];

#[test]
fn rooms_depend_on_each_other_in_one_direction() {
    let rooms: BTreeSet<&str> = EDGES.iter().map(|(room, _)| *room).collect();
    let found: BTreeMap<&str, BTreeSet<&str>> = METADATA
        .members()
        .map(|package| {
            let built_from = package.dependencies.iter().filter(|dependency| dependency.is_of_every_build());
            let names = built_from.map(|dependency| dependency.name.as_str());
            (package.name.as_str(), names.filter(|name| rooms.contains(name)).collect())
        })
        .collect();
    let drawn = EDGES.iter().map(|(room, needs)| (*room, needs.iter().copied().collect())).collect();
    assert_eq!(found, drawn);
}

#[test]
fn the_daemon_and_the_trainer_are_seen_by_nothing_not_even_by_tests() {
    for package in METADATA.members() {
        let names: BTreeSet<&str> =
            package.dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
        assert_eq!(intersection(&names, &["cmpt", "cmpt-train"]), [""; 0], "{}", package.name);
    }
}

#[test]
fn a_default_build_never_reaches_libtorch_or_the_rig() {
    let reached = METADATA.reached_from(&METADATA.workspace_default_members);
    assert!(reached.contains("rumqttc"), "the walk itself must work: it does not even find rumqttc");
    let forbidden = ["tch", "torch-sys", "gstreamer-rtsp-server", "cmpt-train", "avdigits", "dropouts"];
    assert_eq!(intersection(&reached, &forbidden), [""; 0]);
}

#[test]
fn core_reaches_no_crate_that_does_io_or_runs_anything() {
    let core: Vec<String> =
        METADATA.members().filter(|p| p.name == "cmpt-core").map(|p| p.id.clone()).collect();
    let reached = METADATA.reached_from(&core);
    assert!(reached.contains("realfft"), "the walk itself must work: it does not even find realfft");
    let forbidden = [
        "gstreamer",
        "mio",
        "ndarray",
        "ort",
        "rayon",
        "rumqttc",
        "rustix",
        "socket2",
        "tch",
        "tokio",
        "tracing",
        "tract-onnx",
    ];
    assert_eq!(intersection(&reached, &forbidden), [""; 0]);
}

#[test]
fn spectra_are_computed_in_one_place() {
    let uses =
        |package: &&Package| package.dependencies.iter().any(|dependency| dependency.name == "realfft");
    let users: Vec<&str> = METADATA.members().filter(uses).map(|package| package.name.as_str()).collect();
    assert_eq!(users, ["cmpt-kernels"]);
}

#[test]
fn core_reads_no_clock_and_touches_no_file_socket_or_thread() {
    let banned = ["env", "fs", "io", "net", "os", "process", "thread"];
    for (path, source) in sources("crates/core/src") {
        let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((&source, ""));
        for module in std_modules(code) {
            assert!(!banned.contains(&module), "{} uses std::{module}", path.display());
        }
        for clock in ["Instant::now", "SystemTime::now"] {
            assert!(!code.contains(clock), "{} reads a clock: {clock}", path.display());
        }
    }
}

#[test]
fn channels_of_the_daemon_are_bounded() {
    for (path, source) in sources("src") {
        let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((&source, ""));
        for channel in ["unbounded", "std::sync::mpsc::channel", "std::sync::mpsc::{"] {
            assert!(!code.contains(channel), "{} uses {channel}", path.display());
        }
    }
}

#[test]
fn each_feature_of_the_daemon_stands_at_its_mod_and_at_the_factory() {
    let daemon = METADATA.members().find(|package| package.name == "cmpt").expect("the root package");
    for feature in daemon.features.keys().filter(|feature| *feature != "default") {
        let places = |cfg: String| -> Vec<PathBuf> {
            let per_file = |(path, source): (PathBuf, String)| vec![path; source.matches(&cfg).count()];
            sources("src").flat_map(per_file).collect()
        };
        let with = places(format!("cfg(feature = \"{feature}\")"));
        assert!(with.len() <= 2, "code with {feature}: {with:?}");
        let without = places(format!("cfg(not(feature = \"{feature}\"))"));
        assert!(without.len() <= 1, "code without {feature}: {without:?}");
        let all = places(format!("feature = \"{feature}\""));
        assert_eq!(all.len(), with.len() + without.len(), "{feature} in another condition: {all:?}");
    }
}

#[test]
fn modules_of_std_are_found_in_paths_and_in_groups() {
    let code = "use std::fs::File; use std::{collections::{BTreeMap}, net, thread::spawn}; std::env::args();";
    assert_eq!(std_modules(code), ["fs", "collections", "net", "thread", "env"]);
}

/// The part of `cargo metadata` that this test reads.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_default_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    optional: bool,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--all-features", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints what it documents")
});

impl Dependency {
    fn is_of_every_build(&self) -> bool {
        self.kind.as_deref() != Some("dev") && !self.optional
    }
}

impl Edge {
    fn is_of_a_build(&self) -> bool {
        self.dep_kinds.iter().any(|edge| edge.kind.as_deref() != Some("dev"))
    }
}

impl Metadata {
    fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Names of all packages that the packages `roots` are built from, themselves included, with every
    /// feature on. Dependencies of tests are not followed.
    fn reached_from(&self, roots: &[String]) -> BTreeSet<&str> {
        let nodes: BTreeMap<&str, &Node> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = roots.iter().map(String::as_str).collect();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                let built_from = nodes[id].deps.iter().filter(|edge| edge.is_of_a_build());
                open.extend(built_from.map(|edge| edge.pkg.as_str()));
            }
        }
        self.packages
            .iter()
            .filter(|package| reached.contains(package.id.as_str()))
            .map(|p| p.name.as_str())
            .collect()
    }
}

fn intersection<'a>(reached: &BTreeSet<&'a str>, forbidden: &[&'a str]) -> Vec<&'a str> {
    forbidden.iter().copied().filter(|name| reached.contains(name)).collect()
}

/// First segments after `std::`, in paths and in groups of a `use`.
fn std_modules(code: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for (at, prefix) in code.match_indices("std::") {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            modules.push(identifier(rest));
            continue;
        };
        let mut depth = 0;
        let group = group.split_once(';').map_or(group, |(group, _)| group);
        for item in group.split_inclusive([',', '{', '}']) {
            let name = identifier(item.trim_start());
            if depth == 0 && !name.is_empty() {
                modules.push(name);
            }
            depth += i32::from(item.ends_with('{')) - i32::from(item.ends_with('}'));
        }
    }
    modules
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

/// Every Rust file under `folder` of the root package.
fn sources(folder: &str) -> impl Iterator<Item = (PathBuf, String)> {
    let mut files = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .expect("the folder is there")
                    .map(|entry| entry.expect("readable").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    assert!(!files.is_empty(), "no source under {folder}");
    files.into_iter().map(|path| {
        let source = fs::read_to_string(&path).expect("source is UTF-8");
        (path, source)
    })
}
