//! Tables: columns as wide as their widest cell, two blanks apart.

use std::fmt::{self, Display};

/// A column, and the side that its cells are aligned to.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    heading: &'static str,
    right: bool,
    least: usize,
}

impl Column {
    /// A column of text.
    pub(crate) const fn left(heading: &'static str) -> Self {
        Self { heading, right: false, least: 0 }
    }

    /// A column of numbers.
    pub(crate) const fn right(heading: &'static str) -> Self {
        Self { heading, right: true, least: 0 }
    }

    /// The same column, at least this many characters wide.
    pub(crate) const fn at_least(self, least: usize) -> Self {
        Self { least, ..self }
    }
}

/// Rows of cells; headings are printed if there are any.
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [Column; N]) -> Self {
        let headings = columns.map(|column| column.heading.to_owned());
        let has_headings = headings.iter().any(|heading| !heading.is_empty());
        Self { columns, rows: has_headings.then_some(headings).into_iter().collect() }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }
}

impl<const N: usize> Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = self.columns.map(|column| column.least);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &self.rows {
            let cells = row.iter().zip(self.columns).zip(widths).map(|((cell, column), width)| {
                if column.right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_starts_at_the_left_and_numbers_end_at_the_right() {
        let mut table = Table::new([Column::left("name"), Column::right("n"), Column::left("")]);
        table.row(["a".into(), "10".into(), String::new()]);
        table.row(["longer".into(), "1".into(), "x".into()]);
        assert_eq!(table.to_string(), "name     n\na       10\nlonger   1  x\n");
    }

    #[test]
    fn a_table_without_headings_has_only_its_rows() {
        let mut table = Table::new([Column::left("").at_least(4), Column::right("")]);
        table.row(["a".into(), "1".into()]);
        assert_eq!(table.to_string(), "a     1\n");
    }
}
