//! HDF5 files whose datasets have a known shape and type.

use std::fmt;
use std::path::{Path, PathBuf};

use hdf5_reader::error::Error;
use hdf5_reader::messages::datatype::{Datatype, StringSize, VarLenKind};
use hdf5_reader::{Attribute, Dataset, H5Type, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem};

use super::error::DataError;

/// The most bytes of a dataset that are read at once: a header that claims more is corrupt.
const MOST_BYTES: usize = 1 << 30;

/// An HDF5 file.
pub(super) struct Archive {
    path: PathBuf,
    file: Hdf5File,
}

/// What a dimension of a dataset should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// This.
    Is(usize),
    /// One or more of what it counts.
    Of(&'static str),
}

/// What a dataset consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Signed numbers of 32 bits.
    Int32,
    /// Floating-point numbers of 32 bits.
    Float32,
    /// Texts.
    Text,
    /// Sequences of signed numbers of 32 bits, of any length.
    Sequence,
}

/// A dataset of the shape and type that were asked for.
pub(super) struct Array {
    path: PathBuf,
    name: &'static str,
    dataset: Dataset,
    /// Its shape, no dimension of which is 0.
    pub shape: Vec<usize>,
    /// What it consists of.
    pub element: Element,
}

impl Archive {
    /// Opens a file, which is read piece by piece: it may be larger than memory.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let options = OpenOptions::default().with_max_read_bytes(MOST_BYTES).with_max_chunk_bytes(MOST_BYTES);
        let file = Hdf5File::open_with_options(path, options).map_err(|error| match error {
            Error::Io(source) => DataError::Read { path: path.into(), source },
            error => DataError::malformed(path, format!("{error}, expected an HDF5 file")),
        })?;
        Ok(Self { path: path.into(), file })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The dataset of this name in the root. Errors: it is not there, or of another shape or type.
    pub(super) fn array(
        &self,
        name: &'static str,
        shape: &[Extent],
        elements: &[Element],
    ) -> Result<Array, DataError> {
        let wrong = |reason: String| DataError::malformed(&self.path, format!("dataset {name}: {reason}"));
        let expected = || format!("expected {} of {}", Shape(shape), either(elements));
        let dataset =
            self.file.dataset(name).map_err(|error| wrong(format!("{}, {}", cause(error), expected())))?;
        let found: Vec<usize> = dataset.shape().iter().map(|extent| *extent as usize).collect();
        let fits = |(found, expected): (&usize, &Extent)| match expected {
            Extent::Is(extent) => found == extent,
            Extent::Of(_) => *found > 0,
        };
        if found.len() != shape.len() || !found.iter().zip(shape).all(fits) {
            return Err(wrong(format!("shape is {found:?}, {}", expected())));
        }
        let element = Element::of(dataset.dtype()).filter(|element| elements.contains(element));
        let element = element
            .ok_or_else(|| wrong(format!("elements are {}, {}", type_name(dataset.dtype()), expected())))?;
        Ok(Array { path: self.path.clone(), name, dataset, shape: found, element })
    }

    /// An attribute of the root.
    pub(super) fn attribute(&self, name: &str) -> Result<Attribute, DataError> {
        let found = self.file.root_group().and_then(|root| root.attribute(name));
        found.map_err(|error| DataError::malformed(&self.path, format!("attribute {name}: {}", cause(error))))
    }
}

impl Array {
    /// An error that names it.
    pub(super) fn wrong(&self, reason: impl fmt::Display) -> DataError {
        DataError::malformed(&self.path, format!("dataset {}: {reason}", self.name))
    }

    /// A text that is attached to it.
    pub(super) fn text(&self, attribute: &str) -> Result<String, DataError> {
        let found = self.dataset.attribute(attribute).and_then(|attribute| attribute.read_string());
        found.map_err(|error| self.wrong(format!("attribute {attribute}: {}", cause(error))))
    }

    /// All of its numbers, row-major. `T` is that of its elements.
    pub(super) fn numbers<T: H5Type>(&self) -> Result<Vec<T>, DataError> {
        let read = self.dataset.read_array().map_err(|error| self.wrong(cause(error)))?;
        Ok(read.into_iter().collect())
    }

    /// The numbers of one row, row-major. `T` is that of its elements.
    pub(super) fn row<T: H5Type>(&self, row: usize) -> Result<Vec<T>, String> {
        let all = |extent: &usize| SliceInfoElem::Slice { start: 0, end: *extent as u64, step: 1 };
        let rest = self.shape.iter().skip(1).map(all);
        let selections = std::iter::once(SliceInfoElem::Index(row as u64)).chain(rest).collect();
        let read = self.dataset.read_slice(&SliceInfo { selections }).map_err(cause)?;
        Ok(read.into_iter().collect())
    }

    /// All of its texts.
    pub(super) fn texts(&self) -> Result<Vec<String>, DataError> {
        self.dataset.read_strings().map_err(|error| self.wrong(cause(error)))
    }

    /// All of its sequences.
    pub(super) fn sequences(&self) -> Result<Vec<Vec<i32>>, DataError> {
        let Datatype::VarLen { base, .. } = self.dataset.dtype() else { unreachable!("checked when opened") };
        let references = self.dataset.read_raw_bytes().map_err(|error| self.wrong(cause(error)))?;
        let sequence = |reference: &[u8]| {
            let bytes = self.dataset.resolve_vlen_reference_bytes(reference, size_of::<i32>())?;
            bytes.chunks_exact(size_of::<i32>()).map(|number| i32::from_bytes(number, base)).collect()
        };
        let read = references.chunks_exact(self.dataset.vlen_reference_size()).map(sequence);
        read.collect::<Result<_, _>>().map_err(|error| self.wrong(cause(error)))
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} {:?}", self.name, self.path.display(), self.shape)
    }
}

impl Element {
    fn of(datatype: &Datatype) -> Option<Self> {
        match datatype {
            Datatype::FixedPoint { size: 4, signed: true, .. } => Some(Self::Int32),
            Datatype::FloatingPoint { size: 4, .. } => Some(Self::Float32),
            Datatype::String { size: StringSize::Fixed(_) | StringSize::Variable, .. }
            | Datatype::VarLen { kind: VarLenKind::String, .. } => Some(Self::Text),
            Datatype::VarLen { base, .. } if Self::of(base) == Some(Self::Int32) => Some(Self::Sequence),
            _ => None,
        }
    }
}

/// What an error says besides the name of the dataset, which ours say themselves.
fn cause(error: Error) -> String {
    match error {
        Error::Context { source, .. } => cause(*source),
        Error::DatasetNotFound(_) | Error::AttributeNotFound(_) => "it is not there".into(),
        error => error.to_string(),
    }
}

/// A shape for people.
struct Shape<'a>(&'a [Extent]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extents = self.0.iter().map(|extent| match extent {
            Extent::Is(extent) => extent.to_string(),
            Extent::Of(what) => (*what).to_owned(),
        });
        write!(f, "[{}]", extents.collect::<Vec<_>>().join(", "))
    }
}

/// What a type is called in numpy, where it has such a name.
pub(super) fn type_name(datatype: &Datatype) -> String {
    match datatype {
        Datatype::FixedPoint { size, signed, .. } => {
            format!("{}int{}", if *signed { "" } else { "u" }, usize::from(*size) * 8)
        }
        Datatype::FloatingPoint { size, .. } => format!("float{}", usize::from(*size) * 8),
        Datatype::VarLen { base, kind: VarLenKind::Sequence, .. } => {
            format!("sequences of {}", type_name(base))
        }
        other => format!("{other:?}"),
    }
}

fn either(elements: &[Element]) -> String {
    let name = |element: &Element| match element {
        Element::Int32 => "int32",
        Element::Float32 => "float32",
        Element::Text => "texts",
        Element::Sequence => "sequences of int32",
    };
    elements.iter().map(name).collect::<Vec<_>>().join(" or ")
}
