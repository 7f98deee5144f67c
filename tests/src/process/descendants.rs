//! The descendants of this process, found by parent ids.

use std::{
    collections::HashSet,
    process, thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Limits the wait for a killed process that is stuck in the kernel.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq)]
struct Process {
    id: u32,
    parent: u32,
    /// Has ended, but its parent has not read its exit status.
    zombie: bool,
}

/// The live descendants of this process.
pub(super) fn of_this_process() -> Vec<u32> {
    below(&[process::id()], &list())
}

/// Kills all descendants of this process and of `others`, which were descendants before, until none is left.
pub(super) fn kill_all(others: Vec<u32>) {
    let deadline = Instant::now() + PATIENCE;
    let mut known: HashSet<u32> = others.into_iter().collect();
    while Instant::now() < deadline {
        let processes = list();
        let mut roots: Vec<u32> = known.iter().copied().collect();
        roots.push(process::id());
        known.extend(below(&roots, &processes));
        known.retain(|id| is_live(*id, &processes));
        if known.is_empty() {
            return;
        }
        for id in &known {
            if let Some(id) = Pid::from_raw(id.cast_signed()) {
                let _ = kill_process(id, Signal::KILL);
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn is_live(id: u32, processes: &[Process]) -> bool {
    processes.iter().any(|process| process.id == id && !process.zombie)
}

fn below(roots: &[u32], processes: &[Process]) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = roots.to_vec();
    while let Some(parent) = parents.pop() {
        for child in processes.iter().filter(|process| process.parent == parent) {
            parents.push(child.id);
            if !child.zombie {
                found.push(child.id);
            }
        }
    }
    found
}

/// Reads `/proc`, because a small Linux image has no `ps`.
#[cfg(target_os = "linux")]
fn list() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            parse_stat(&stat)
        })
        .collect()
}

/// `ID (NAME) STATE PARENT …`, in which the name may contain spaces and brackets.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str) -> Option<Process> {
    let (id, rest) = stat.split_once(" (")?;
    let (_name, fields) = rest.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let zombie = matches!(fields.next()?, "Z" | "X");
    Some(Process { id: id.parse().ok()?, parent: fields.next()?.parse().ok()?, zombie })
}

#[cfg(not(target_os = "linux"))]
fn list() -> Vec<Process> {
    let Ok(ps) =
        process::Command::new("ps").args(["-A", "-o", "pid=,ppid=,stat="]).stdout(process::Stdio::piped()).spawn()
    else {
        return Vec::new();
    };
    // `ps` lists itself, as a child of this process.
    let ps_id = ps.id();
    let Ok(output) = ps.wait_with_output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(parse_ps).filter(|process| process.id != ps_id).collect()
}

/// `ID PARENT STATE`
#[cfg(any(test, not(target_os = "linux")))]
fn parse_ps(line: &str) -> Option<Process> {
    let mut fields = line.split_whitespace();
    Some(Process {
        id: fields.next()?.parse().ok()?,
        parent: fields.next()?.parse().ok()?,
        zombie: fields.next()?.starts_with('Z'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: u32, parent: u32) -> Process {
        Process { id, parent, zombie: false }
    }

    #[test]
    fn descendants_are_found_through_a_zombie_and_listed_without_it() {
        let mut middle = process(11, 10);
        middle.zombie = true;
        let processes = [process(10, 1), middle, process(12, 11), process(13, 1)];
        assert_eq!(below(&[10], &processes), [12]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_with_brackets_and_spaces_does_not_hide_the_parent() {
        assert_eq!(parse_stat("42 (a) S (b) S 7 42 42 0"), Some(process(42, 7)));
    }

    #[test]
    fn a_line_of_ps_names_the_process_and_its_parent() {
        assert_eq!(parse_ps("   42     7 S+"), Some(process(42, 7)));
        assert!(parse_ps("43 7 Z").is_some_and(|process| process.zombie));
    }
}
