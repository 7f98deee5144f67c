//! Figures of processes from Linux's `/proc`. Elsewhere there are none.

use std::{fs, path::Path, time::Duration};

/// `USER_HZ`, which is 100 on all processors that Lambda has.
const TICK: Duration = Duration::from_millis(10);

/// The processor time of a process, all of its threads included.
///
/// The scheduler counts nanoseconds for each thread. Where it does not, the process has clock ticks.
pub fn cpu(id: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).ok()?;
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    match nanoseconds.sum() {
        0 => ticks(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?),
        nanoseconds => Some(Duration::from_nanos(nanoseconds)),
    }
}

/// `ID (NAME) STATE …`, with the user's and the system's time as the fields 14 and 15.
fn ticks(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    Some(TICK * times.sum::<Result<u32, _>>().ok()?)
}

/// The resident memory of a process, in bytes.
pub fn memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The server processes of a database's connections: PostgreSQL shows them as `postgres: USER DATABASE ADDRESS(PORT) STATE`.
pub fn backends(database: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let title = fs::read(Path::new("/proc").join(id.to_string()).join("cmdline")).unwrap_or_default();
        is_backend(&String::from_utf8_lossy(&title), database)
    })
    .collect()
}

fn is_backend(title: &str, database: &str) -> bool {
    let mut words = title.split(' ');
    words.next() == Some("postgres:")
        && words.nth(1) == Some(database)
        && words.next().is_some_and(|client| client.contains('('))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_name_with_brackets() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 1 0";
        assert_eq!(ticks(stat), Some(Duration::from_millis(120)));
    }

    #[test]
    fn only_connections_of_the_database_are_backends() {
        assert!(is_backend("postgres: keyhold_reader bench_1 127.0.0.1(40000) idle", "bench_1"));
        assert!(!is_backend("postgres: keyhold_reader other 127.0.0.1(40000) idle", "bench_1"));
        assert!(!is_backend("postgres: autovacuum worker bench_1", "bench_1"));
    }
}
