//! The terminal: steps, log lines, and a block that stays at the end of the screen.
//!
//! On a terminal the last lines are redrawn: the steps that are running, and the block. All other lines scroll above them.
//! Elsewhere, and if `TERM` is `dumb`, every line is printed once and without control characters.

use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::termios::tcgetwinsize;

const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

const FRAME_TIME: Duration = Duration::from_millis(100);

/// A step that takes longer shows its time on a terminal, and is announced elsewhere.
const LONG_STEP: Duration = Duration::from_secs(2);

/// Used if the terminal does not tell its size.
const DEFAULT_COLUMNS: usize = 80;

/// How lines are shown.
#[derive(Clone, Copy, Debug)]
struct Style {
    /// Whether the last lines are redrawn.
    live: bool,
    color: bool,
    /// Time after which a step is announced if lines are not redrawn.
    announced_after: Duration,
}

/// A color of ANSI terminals.
#[derive(Clone, Copy, Debug)]
pub enum Color {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Gray = 90,
}

/// The terminal. All clones are the same one.
#[derive(Clone)]
pub struct Screen(Arc<Mutex<Display>>);

impl Screen {
    /// The terminal of this process. With `shared`, other processes write to it too, so no line is redrawn.
    pub fn new(shared: bool) -> Self {
        let terminal = io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let style = Style {
            live: terminal && !shared,
            color: terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            announced_after: if shared { Duration::ZERO } else { LONG_STEP },
        };
        let screen = Self(Arc::new(Mutex::new(Display::new(style))));
        let ticking = screen.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(FRAME_TIME);
                ticking.update(|display| display.tick());
            }
        });
        screen
    }

    /// Prints a line above the block.
    pub fn print(&self, line: &str) {
        self.update(|display| display.print(line));
    }

    /// Starts a step. Call [`Step::done`] or [`Step::fail`] at its end.
    pub fn step(&self, label: impl Into<String>) -> Step {
        let id = self.lock().start(label.into(), Instant::now());
        self.update(Display::announce);
        Step { handle: StepHandle { id, screen: self.clone() } }
    }

    /// Sets the lines that stay at the end.
    pub fn set_block(&self, lines: Vec<String>) {
        self.update(|display| display.set_block(lines));
    }

    /// Removes the block, so that it does not stay above what follows.
    pub fn clear_block(&self) {
        self.update(|display| display.block.clear());
    }

    /// Colors a text, if the terminal has colors.
    pub fn paint(&self, color: Color, text: &str) -> String {
        self.lock().paint(color, text)
    }

    fn update(&self, change: impl FnOnce(&mut Display)) {
        let mut display = self.lock();
        change(&mut display);
        let text = display.render(columns(), Instant::now());
        if !text.is_empty() {
            let mut stdout = io::stdout().lock();
            // Fails if the reader of the output has ended, which is not a reason to stop the service.
            let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Display> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running step. Dropping it removes its line.
pub struct Step {
    handle: StepHandle,
}

/// Changes the line of a step while it is running. The change is visible with the next frame of the spinner.
#[derive(Clone)]
pub struct StepHandle {
    id: usize,
    screen: Screen,
}

impl StepHandle {
    /// Sets the text after the label, as in `12/340`.
    pub fn set_detail(&self, detail: &str) {
        self.change(|step| detail.clone_into(&mut step.detail));
    }

    pub fn set_label(&self, label: String) {
        self.change(|step| step.label = label);
    }

    fn change(&self, change: impl FnOnce(&mut RunningStep)) {
        self.screen.lock().step(self.id).map(change);
    }
}

impl Step {
    pub fn handle(&self) -> StepHandle {
        self.handle.clone()
    }

    /// Replaces the step by a check mark with the time that it took.
    pub fn done(self) {
        self.end(Color::Green, "✓");
    }

    /// Replaces the step by a cross with the time that it took.
    pub fn fail(self) {
        self.end(Color::Red, "✗");
    }

    fn end(&self, color: Color, mark: &str) {
        self.handle.screen.update(|display| display.end(self.handle.id, color, mark, Instant::now()));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.handle.screen.update(|display| display.steps.retain(|step| step.id != self.handle.id));
    }
}

struct RunningStep {
    id: usize,
    label: String,
    detail: String,
    started: Instant,
    announced: bool,
}

/// The state of the terminal. Its methods collect text, and [`Display::render`] returns what to write.
struct Display {
    style: Style,
    steps: Vec<RunningStep>,
    next_id: usize,
    block: Vec<String>,
    /// Lines to print above the steps and the block.
    printed: String,
    /// The steps and the block that are on the terminal now.
    drawn: Vec<String>,
    frame: usize,
}

impl Display {
    fn new(style: Style) -> Self {
        Self {
            style,
            steps: Vec::new(),
            next_id: 0,
            block: Vec::new(),
            printed: String::new(),
            drawn: Vec::new(),
            frame: 0,
        }
    }

    fn print(&mut self, line: &str) {
        let _ = writeln!(self.printed, "{line}");
    }

    fn start(&mut self, label: String, now: Instant) -> usize {
        let id = self.next_id;
        self.next_id += 1;
        self.steps.push(RunningStep { id, label, detail: String::new(), started: now, announced: false });
        id
    }

    fn step(&mut self, id: usize) -> Option<&mut RunningStep> {
        self.steps.iter_mut().find(|step| step.id == id)
    }

    fn end(&mut self, id: usize, color: Color, mark: &str, now: Instant) {
        if let Some(index) = self.steps.iter().position(|step| step.id == id) {
            let step = self.steps.remove(index);
            let time = self.paint(Color::Gray, &format!("({})", duration(now - step.started)));
            let line = format!("{} {} {time}", self.paint(color, mark), step.label);
            self.print(&line);
        }
    }

    fn set_block(&mut self, lines: Vec<String>) {
        if self.style.live {
            self.block = lines;
        } else {
            for line in &lines {
                self.print(line);
            }
        }
    }

    fn tick(&mut self) {
        self.frame += 1;
        self.announce();
    }

    /// Prints the labels of long steps if lines are not redrawn.
    fn announce(&mut self) {
        if self.style.live {
            return;
        }
        for step in &mut self.steps {
            if !step.announced && step.started.elapsed() >= self.style.announced_after {
                step.announced = true;
                let _ = writeln!(self.printed, "… {}", step.label);
            }
        }
    }

    /// Returns the text that brings the terminal up to date.
    fn render(&mut self, columns: usize, now: Instant) -> String {
        let printed = std::mem::take(&mut self.printed);
        if !self.style.live {
            return printed;
        }
        let lines = self.live_lines(columns, now);
        if printed.is_empty() && lines == self.drawn {
            return String::new();
        }
        let mut text = String::new();
        let rows: usize = self.drawn.iter().map(|line| width(line).div_ceil(columns).max(1)).sum();
        if rows > 0 {
            // Up to the first drawn line, and clear from there to the end of the screen.
            let _ = write!(text, "\r\x1b[{rows}A\x1b[J");
        }
        text.push_str(&printed);
        for line in &lines {
            let _ = writeln!(text, "{line}");
        }
        self.drawn = lines;
        text
    }

    fn live_lines(&self, columns: usize, now: Instant) -> Vec<String> {
        let spinner = FRAMES[self.frame % FRAMES.len()];
        let steps = self.steps.iter().map(|step| {
            let mut line = format!("{spinner} {}", step.label);
            if !step.detail.is_empty() {
                let _ = write!(line, "  {}", step.detail);
            }
            let time = now - step.started;
            if time >= LONG_STEP {
                let _ = write!(line, "  {} s", time.as_secs());
            }
            // A line that fits, so that the terminal does not wrap it.
            line.chars().take(columns.saturating_sub(1)).collect()
        });
        steps.chain(self.block.iter().cloned()).collect()
    }

    fn paint(&self, color: Color, text: &str) -> String {
        if self.style.color { format!("\x1b[{}m{text}\x1b[0m", color as u8) } else { text.to_owned() }
    }
}

/// The columns that a line takes, without the sequences that color it.
fn width(line: &str) -> usize {
    without_escapes(line).chars().count()
}

/// Removes escape sequences such as colors and cursor movements.
pub fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            text.push(character);
        } else if characters.next() == Some('[') {
            // A control sequence ends with its first letter.
            characters.by_ref().find(|character| ('@'..='~').contains(character));
        }
    }
    text
}

fn columns() -> usize {
    tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(DEFAULT_COLUMNS)
}

/// The time of a step, as in `0.4 s` or `2 min 5 s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display(live: bool) -> Display {
        Display::new(Style { live, color: false, announced_after: LONG_STEP })
    }

    #[test]
    fn a_finished_step_is_one_line_with_its_time() {
        let (mut display, start) = (display(false), Instant::now());
        let id = display.start("Build the functions".to_owned(), start);
        display.end(id, Color::Green, "✓", start + Duration::from_millis(12_340));
        assert_eq!(display.render(80, start), "✓ Build the functions (12.3 s)\n");
    }

    #[test]
    fn lines_scroll_above_the_block() {
        let (mut display, now) = (display(true), Instant::now());
        display.set_block(vec!["Ready".to_owned(), "API".to_owned()]);
        assert_eq!(display.render(80, now), "Ready\nAPI\n");
        display.print("GET /api/data");
        assert_eq!(display.render(80, now), "\r\x1b[2A\x1b[JGET /api/data\nReady\nAPI\n");
    }

    #[test]
    fn a_wrapped_line_of_the_block_is_erased_completely() {
        let (mut display, now) = (display(true), Instant::now());
        display.set_block(vec![format!("\x1b[32m{}\x1b[0m", "x".repeat(41))]);
        display.render(20, now);
        display.set_block(Vec::new());
        assert_eq!(display.render(20, now), "\r\x1b[3A\x1b[J");
    }

    #[test]
    fn an_unchanged_screen_is_not_written_again() {
        let (mut display, now) = (display(true), Instant::now());
        display.set_block(vec!["Ready".to_owned()]);
        display.render(80, now);
        assert_eq!(display.render(80, now), "");
    }

    #[test]
    fn a_long_step_shows_its_detail_and_time_in_one_row() {
        let (mut display, start) = (display(true), Instant::now());
        let id = display.start("Build the functions".to_owned(), start);
        display.step(id).unwrap().detail = "12/340".to_owned();
        assert_eq!(display.render(80, start + Duration::from_secs(3)), "⠋ Build the functions  12/340  3 s\n");
        assert_eq!(display.live_lines(10, start), ["⠋ Build t"]);
    }

    #[test]
    fn output_to_a_file_has_no_control_characters() {
        let (mut display, now) = (display(false), Instant::now());
        let start = now.checked_sub(LONG_STEP).expect("the machine runs longer than that");
        display.start("Build the functions".to_owned(), start);
        display.tick();
        display.tick();
        display.set_block(vec!["Ready".to_owned()]);
        display.print("GET /api/data");
        assert_eq!(display.render(80, now), "… Build the functions\nReady\nGET /api/data\n");
    }

    #[test]
    fn escape_sequences_are_removed() {
        assert_eq!(without_escapes("\x1b[1m\x1b[32m   Compiling\x1b[0m shared\x1b[K"), "   Compiling shared");
    }

    #[test]
    fn a_time_over_a_minute_has_minutes() {
        assert_eq!(duration(Duration::from_millis(420)), "0.4 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
    }
}
