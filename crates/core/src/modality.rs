//! Modalities by position in the bundle's manifest, and sets of them.

use serde::{Deserialize, Serialize};

/// What kind of signal a modality carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Mono sound.
    Audio,
    /// A sequence of pictures.
    Video,
    /// One picture.
    Image,
    /// Text.
    Text,
}

/// A modality: its position in the manifest's list of modalities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModalityId(pub usize);

/// A set of modalities, such as the available set A of the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModalitySet(u64);

impl ModalitySet {
    /// The largest number of modalities a set can hold.
    pub const CAPACITY: usize = 64;

    /// No modality.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// The first `count` modalities, that is all of a bundle with `count` of them.
    pub fn all(count: usize) -> Self {
        (0..count).map(ModalityId).collect()
    }

    /// Adds `id`.
    pub fn insert(&mut self, id: ModalityId) {
        assert!(id.0 < Self::CAPACITY, "at most {} modalities", Self::CAPACITY);
        self.0 |= 1 << id.0;
    }

    /// Whether `id` is in the set.
    pub const fn contains(self, id: ModalityId) -> bool {
        id.0 < Self::CAPACITY && self.0 >> id.0 & 1 == 1
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many modalities are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The members in manifest order.
    pub fn iter(self) -> impl Iterator<Item = ModalityId> {
        (0..Self::CAPACITY).map(ModalityId).filter(move |id| self.contains(*id))
    }

    /// Every non-empty subset of the first `count` modalities, the full set first.
    pub fn patterns(count: usize) -> impl Iterator<Item = Self> {
        assert!(count < Self::CAPACITY, "fewer than {} modalities", Self::CAPACITY);
        (1..1u64 << count).rev().map(Self)
    }
}

impl FromIterator<ModalityId> for ModalitySet {
    fn from_iter<I: IntoIterator<Item = ModalityId>>(ids: I) -> Self {
        let mut set = Self::empty();
        for id in ids {
            set.insert(id);
        }
        set
    }
}
