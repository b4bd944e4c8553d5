//! Reports: one HTML file that needs nothing else, and its tables as CSV. Knows nothing of what it reports.

pub mod html;
pub mod plot;
pub mod table;
