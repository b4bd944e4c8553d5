//! One HTML file: words, tables, plots. Well-formed as XML too, so that any XML parser can read it.

use std::fmt::{self, Display, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::table::Table;

const STYLE: &str = "\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; }
table { border-collapse: collapse; margin: 1rem 0 2rem; font-size: 0.9rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.4rem; }
th, td { padding: 0.25rem 0.8rem 0.25rem 0; border-bottom: 1px solid #e0e0e0; text-align: left; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.best { font-weight: 700; }
figure { margin: 1rem 0 2rem; }
figcaption { font-size: 0.9rem; font-weight: 600; }
svg { max-width: 100%; height: auto; }
@media print { h2 { break-before: auto; } figure, table { break-inside: avoid; } }
";

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its title.
    pub title: String,
    /// What was done, in words: one paragraph each.
    pub protocol: Vec<String>,
    /// What was found.
    pub sections: Vec<Section>,
}

/// A part of a report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// What to know before looking.
    pub words: Vec<String>,
    /// Plots.
    pub figures: Vec<Figure>,
    /// Tables.
    pub tables: Vec<Table>,
}

/// A plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it shows.
    pub caption: String,
    /// An `svg` element.
    pub svg: String,
}

/// Why a report could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("write {}", path.display())]
pub struct ReportError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Report {
    /// Writes `NAME.html` into `folder`, and `NAME-TABLE.csv` for every table.
    pub fn write(&self, folder: &Path, name: &str) -> Result<PathBuf, ReportError> {
        let write = |path: PathBuf, text: String| match fs::write(&path, text) {
            Ok(()) => Ok(path),
            Err(source) => Err(ReportError { path, source }),
        };
        fs::create_dir_all(folder).map_err(|source| ReportError { path: folder.into(), source })?;
        for table in self.sections.iter().flat_map(|section| &section.tables) {
            write(folder.join(format!("{name}-{}.csv", table.name)), table.csv())?;
        }
        write(folder.join(format!("{name}.html")), self.html())
    }

    /// The report as an HTML document.
    pub fn html(&self) -> String {
        let mut html = String::new();
        self.write_html(&mut html).expect("strings take whatever is written");
        html
    }

    fn write_html(&self, html: &mut String) -> fmt::Result {
        let title = Escaped(&self.title);
        writeln!(html, "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>")?;
        writeln!(html, "<meta charset=\"utf-8\" />")?;
        writeln!(html, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />")?;
        writeln!(html, "<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>")?;
        writeln!(html, "<h1>{title}</h1>\n<section>\n<h2>Protocol</h2>")?;
        for paragraph in &self.protocol {
            writeln!(html, "<p>{}</p>", Escaped(paragraph))?;
        }
        writeln!(html, "</section>")?;
        for section in &self.sections {
            writeln!(html, "<section>\n<h2>{}</h2>", Escaped(&section.heading))?;
            for paragraph in &section.words {
                writeln!(html, "<p>{}</p>", Escaped(paragraph))?;
            }
            for figure in &section.figures {
                let caption = Escaped(&figure.caption);
                writeln!(html, "<figure>\n<figcaption>{caption}</figcaption>\n{}</figure>", figure.svg)?;
            }
            for table in &section.tables {
                html.push_str(&table.html());
            }
            writeln!(html, "</section>")?;
        }
        writeln!(html, "</body>\n</html>")
    }
}

/// Text as it may stand in an element or a quoted attribute.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            char => f.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Cell;
    use super::*;

    fn report() -> Report {
        let table = Table {
            name: "all".into(),
            caption: "everything".into(),
            columns: vec!["a & b".into()],
            rows: vec![vec![Cell::Number(1.5)]],
        };
        let figure = Figure { caption: "'one'".into(), svg: "<svg width=\"1\" height=\"1\"></svg>\n".into() };
        Report {
            title: "Tables <and> figures".into(),
            protocol: vec!["two & two".into()],
            sections: vec![Section {
                heading: "found".into(),
                words: vec!["words".into()],
                figures: vec![figure],
                tables: vec![table],
            }],
        }
    }

    #[test]
    fn a_report_is_one_well_formed_file_that_refers_to_nothing_else() {
        let html = report().html();
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(&html, options).unwrap();
        let text = |name| {
            document.descendants().find(|node| node.has_tag_name(("http://www.w3.org/1999/xhtml", name)))
        };
        assert_eq!(text("title").and_then(|node| node.text()), Some("Tables <and> figures"));
        let refers =
            |node: &roxmltree::Node| node.attributes().any(|at| ["href", "src"].contains(&at.name()));
        assert!(!document.descendants().any(|node| refers(&node)));
    }

    #[test]
    fn tables_are_written_beside_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let path = report().write(&folder.path().join("new"), "table1").unwrap();
        assert_eq!(path, folder.path().join("new/table1.html"));
        assert_eq!(fs::read_to_string(folder.path().join("new/table1-all.csv")).unwrap(), "a & b\n1.5\n");
        let error = report().write(&path, "table1").unwrap_err();
        assert!(error.to_string().contains("table1.html"), "{error}");
    }
}
