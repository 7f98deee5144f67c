//! The table.

use std::time::Duration;

/// The figures of one candidate in one case.
pub struct Row {
    pub case: String,
    pub candidate: String,
    pub latencies: Vec<Duration>,
    /// Processor time per invocation: of the function, and of its database connection.
    pub cpu: Option<Duration>,
    pub database_cpu: Option<Duration>,
    /// Bytes.
    pub memory: Option<u64>,
    pub size: Option<u64>,
}

/// The names of candidates to which the others are compared.
pub const CURRENT: &str = "current";
pub const BASELINE: &str = "baseline";
pub const FLOOR: &str = "floor";
pub const NODE: &str = "Node";
pub const HELLO: &str = "hello";
/// It is the floor of a sign-in.
pub const BCRYPT: &str = "bcrypt in C";

const MEBIBYTE: u64 = 1024 * 1024;

const HEAD: [&str; 13] = [
    "case",
    "candidate",
    "n",
    "lower quartile ms",
    "median ms",
    "upper quartile ms",
    "/ floor",
    "/ baseline",
    "/ Node",
    "CPU ms",
    "database CPU ms",
    "RSS MiB",
    "size MiB",
];

/// Returns the table in Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut cells: Vec<Vec<String>> = vec![HEAD.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(|row| cells_of(row, rows)));
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut lines: Vec<String> = cells.iter().map(|line| format_line(line, &widths)).collect();
    let rule: Vec<String> =
        widths.iter().enumerate().map(|(at, width)| "-".repeat(*width - 1) + if at < 2 { "-" } else { ":" }).collect();
    lines.insert(1, format_line(&rule, &widths));
    lines.join("\n")
}

fn format_line(line: &[String], widths: &[usize]) -> String {
    let cell = |(at, (text, width)): (usize, (&String, &usize))| {
        if at < 2 { format!(" {text:<width$} |") } else { format!(" {text:>width$} |") }
    };
    let cells: String = line.iter().zip(widths).enumerate().map(cell).collect();
    format!("|{cells}")
}

fn cells_of(row: &Row, rows: &[Row]) -> Vec<String> {
    let median = quantile(&row.latencies, 2);
    let to = |names: &[&str]| {
        let other = rows.iter().find(|other| other.case == row.case && names.contains(&other.candidate.as_str()))?;
        Some(format!("{:.2}", median.as_secs_f64() / quantile(&other.latencies, 2).as_secs_f64()))
    };
    let mebibytes = |bytes: Option<u64>| {
        let tenths = bytes.map(|bytes| (bytes * 10 + MEBIBYTE / 2) / MEBIBYTE);
        tenths.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10))
    };
    let none = || "–".to_owned();
    vec![
        row.case.clone(),
        row.candidate.clone(),
        row.latencies.len().to_string(),
        milliseconds(quantile(&row.latencies, 1)),
        milliseconds(median),
        milliseconds(quantile(&row.latencies, 3)),
        to(&[FLOOR, BCRYPT]).unwrap_or_else(none),
        to(&[BASELINE]).unwrap_or_else(none),
        to(&[NODE]).unwrap_or_else(none),
        row.cpu.map_or_else(none, milliseconds),
        row.database_cpu.map_or_else(none, milliseconds),
        mebibytes(row.memory).unwrap_or_else(none),
        mebibytes(row.size).unwrap_or_else(none),
    ]
}

fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.3}") } else { format!("{milliseconds:.1}") }
}

/// The first, second, or third quartile.
pub fn quantile(latencies: &[Duration], quarter: usize) -> Duration {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len().saturating_sub(1) * quarter).div_ceil(4);
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(candidate: &str, milliseconds: &[u64]) -> Row {
        Row {
            case: "get".to_owned(),
            candidate: candidate.to_owned(),
            latencies: milliseconds.iter().map(|milliseconds| Duration::from_millis(*milliseconds)).collect(),
            cpu: None,
            database_cpu: None,
            memory: None,
            size: Some(1_572_864),
        }
    }

    #[test]
    fn quartiles_are_of_the_sorted_times() {
        let row = row("current", &[5, 1, 4, 2, 3]);
        assert_eq!([1, 2, 3].map(|quarter| quantile(&row.latencies, quarter).as_millis()), [2, 3, 4]);
    }

    #[test]
    fn a_ratio_is_the_quotient_of_the_medians_of_a_case() {
        let rows = [row("current", &[30]), row("floor", &[12])];
        let cells = cells_of(&rows[0], &rows);
        assert_eq!(cells[4..10], ["30.0", "30.0", "2.50", "–", "–", "–"]);
        assert_eq!(cells[12], "1.5");
    }
}
