//! Tables, as HTML and as CSV.

use std::fmt::{self, Write};

use super::html::Escaped;

/// A table with a heading for every column.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Name of its CSV file, without the ending.
    pub name: String,
    /// What it shows.
    pub caption: String,
    /// Headings of its columns.
    pub columns: Vec<String>,
    /// Its rows, of one cell a column.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A mean over repetitions and, where there are two or more, their standard deviation. In the CSV file
    /// they are two columns.
    Spread {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: Option<f64>,
        /// Whether it stands out.
        best: bool,
    },
    /// A number of no spread.
    Number(f64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Table {
    /// The table as an HTML element.
    pub fn html(&self) -> String {
        let mut html = String::new();
        self.write_html(&mut html).expect("strings take whatever is written");
        html
    }

    fn write_html(&self, html: &mut String) -> fmt::Result {
        writeln!(html, "<table>\n<caption>{}</caption>", Escaped(&self.caption))?;
        html.push_str("<thead><tr>");
        for column in &self.columns {
            write!(html, "<th scope=\"col\">{}</th>", Escaped(column))?;
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for cell in row {
                match cell {
                    Cell::Text(text) => write!(html, "<td>{}</td>", Escaped(text))?,
                    Cell::Number(value) => write!(html, "<td class=\"number\">{value:.2}</td>")?,
                    Cell::Spread { mean, deviation, best } => {
                        let class = if *best { "number best" } else { "number" };
                        let spread = deviation.map_or(String::new(), |sd| format!(" ± {sd:.2}"));
                        write!(html, "<td class=\"{class}\">{mean:.2}{spread}</td>")?;
                    }
                }
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table>\n");
        Ok(())
    }

    /// The table as CSV (RFC 4180, with line feeds). A column that holds spreads is followed by one of their
    /// standard deviations, empty where there is none.
    pub fn csv(&self) -> String {
        let is_spread =
            |column: usize| self.rows.iter().any(|row| matches!(row.get(column), Some(Cell::Spread { .. })));
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        let mut header = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            header.push(quoted(column));
            if is_spread(index) {
                header.push(quoted(&format!("{column} (standard deviation)")));
            }
        }
        lines.push(header.join(","));
        for row in &self.rows {
            let mut fields = Vec::new();
            for (index, cell) in row.iter().enumerate() {
                let (value, deviation) = match cell {
                    Cell::Text(text) => (quoted(text), None),
                    Cell::Number(value) => (value.to_string(), None),
                    Cell::Spread { mean, deviation, .. } => (mean.to_string(), *deviation),
                };
                fields.push(value);
                if is_spread(index) {
                    fields.push(deviation.map_or(String::new(), |sd| sd.to_string()));
                }
            }
            lines.push(fields.join(","));
        }
        lines.join("\n") + "\n"
    }
}

/// A field of a CSV file.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let spread = |mean, deviation| Cell::Spread { mean, deviation, best: mean > 90.0 };
        Table {
            name: "accuracy".into(),
            caption: "right < wrong".into(),
            columns: vec!["method, as named".into(), "accuracy".into()],
            rows: vec![
                vec!["the \"best\"".into(), spread(91.25, Some(0.5))],
                vec!["other".into(), spread(80.0, None)],
            ],
        }
    }

    #[test]
    fn csv_keeps_commas_and_quotes_and_all_digits() {
        let expected = "\"method, as named\",accuracy,accuracy (standard deviation)\n\
                        \"the \"\"best\"\"\",91.25,0.5\nother,80,\n";
        assert_eq!(table().csv(), expected);
    }

    #[test]
    fn html_shows_mean_and_deviation_and_escapes_the_rest() {
        let html = table().html();
        assert!(html.contains("<caption>right &lt; wrong</caption>"), "{html}");
        assert!(html.contains("<td class=\"number best\">91.25 ± 0.50</td>"), "{html}");
        assert!(html.contains("<td class=\"number\">80.00</td>"), "{html}");
    }
}
