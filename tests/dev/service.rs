//! Starts the parts of the service one after the other, and stops them.

use std::{
    env, fs,
    net::Ipv4Addr,
    path::Path,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use ::tests::{
    Error,
    binaries::{self, Binaries},
    port,
    process::{self, Guard},
    tools::{self, Tools},
    watch::{self, Watch},
};

use crate::{
    arguments::Options,
    database::Database,
    function_log::FunctionLog,
    interrupt,
    mail::Mail,
    output::{Output, Text},
    screen::{Color, Screen, Step, duration},
    secret,
};

const DEFAULT_PORT: u16 = 9000;

/// Longer than the guards of a killed `cargo dev` usually take to stop its children.
const PORT_PATIENCE: Duration = Duration::from_secs(3);

/// Starts the service and runs it until a signal.
pub fn run(options: Options) -> Result<(), Error> {
    let started = Instant::now();
    let stop = interrupt::stop_on_signals()?;
    let port = chosen_port()?;
    let guard = Guard::this_binary().map_err(|error| Error::start("cargo dev", error))?;
    let folder = guard.target().join("dev");
    fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, error))?;
    let output = Output::new(&folder.join("output.log"), options.verbose)?;
    let screen = Screen::new(options.verbose);

    let start = Start { screen: &screen, output: &output, guard: &guard, folder: &folder, options };
    let (tools, mut database, binaries) = start.prepare()?;
    start.migrate(&database, &binaries, &tools)?;
    let mut mail = Mail::new(&guard, &binaries, &folder, options.fresh)?;
    let admin_token = start.secret("ADMIN_TOKEN", "admin-token")?;
    let jwt_secret = start.secret("JWT_SECRET", "jwt-secret")?;
    let variables = [
        ("DATABASE_URL", &*database.url()),
        ("JWT_SECRET", &jwt_secret),
        ("ADMIN_TOKEN", &admin_token),
        ("MAIL_OUTBOX", &mail.outbox()),
    ];
    let mut watch = start.watch(&tools, port, &variables)?;
    wake(&watch)?;
    screen.set_block(start.ready(&watch, &database, &mail, &admin_token, started.elapsed()));

    let end = wait(&stop, &mut watch, &mut database, &output, || mail.send(&screen, &output));
    screen.clear_block();
    let stopping = end.is_ok().then(|| screen.step("Stop"));
    drop(watch);
    drop(database);
    if let Some(step) = stopping {
        step.done();
    }
    end
}

/// Reads and checks `PORT`.
fn chosen_port() -> Result<u16, Error> {
    let port = match env::var("PORT") {
        Ok(text) => text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
            Error::new(
                format!("PORT is `{text}`, which is not a port number."),
                "Set it to a number from 1 to 65535, or unset it to use 9000.",
            )
        })?,
        Err(_) => DEFAULT_PORT,
    };
    if port::becomes_free(port, PORT_PATIENCE) {
        return Ok(port);
    }
    Err(Error::new(
        format!("Port {port} is used by another program."),
        format!(
            "Stop that program (`lsof -i :{port}` names it), or choose another port, for example `PORT={} cargo dev`.",
            if port == u16::MAX { DEFAULT_PORT } else { port + 1 }
        ),
    ))
}

/// Dependencies of the start steps.
struct Start<'a> {
    screen: &'a Screen,
    output: &'a Output,
    guard: &'a Guard,
    folder: &'a Path,
    options: Options,
}

impl Start<'_> {
    /// Shows a step while `work` runs. Failures that are only a consequence of the end of this process are not shown.
    fn step<T>(&self, label: &str, work: impl FnOnce(&Step) -> Result<T, Error>) -> Result<T, Error> {
        let step = self.screen.step(label);
        let result = work(&step);
        match &result {
            Ok(_) => step.done(),
            Err(_) if process::is_stopping() => drop(step),
            Err(_) => step.fail(),
        }
        result
    }

    /// Builds the functions, and at the same time installs the tools and starts the database. The first failure stops the
    /// other work.
    fn prepare(&self) -> Result<(Tools, Database, Binaries), Error> {
        let failure = Mutex::new(None);
        let record = |error: Error| {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            process::stop_all();
        };
        let (tools_and_database, binaries) = thread::scope(|scope| {
            let tools_and_database = scope.spawn(|| self.tools_and_database().map_err(record).ok());
            let binaries = self.build().map_err(record).ok();
            (tools_and_database.join().expect("this thread does not panic"), binaries)
        });
        match (tools_and_database, binaries) {
            (Some((tools, database)), Some(binaries)) => Ok((tools, database, binaries)),
            _ => Err(failure.into_inner().unwrap_or_else(PoisonError::into_inner).expect("a failed part has an error")),
        }
    }

    fn tools_and_database(&self) -> Result<(Tools, Database), Error> {
        let tools = self.step("Prepare the tools", |_| tools::prepare(self.guard))?;
        let folder = self.folder.join("postgres");
        let database = self
            .step(Database::open_label(self.options.fresh), |_| Database::open(&tools, &folder, self.options.fresh))?;
        if database.is_given() && self.options.fresh {
            self.screen.print("  --fresh does not empty the database in DATABASE_URL.");
        }
        Ok((tools, database))
    }

    fn build(&self) -> Result<Binaries, Error> {
        self.step("Build the functions", |step| {
            let step = step.handle();
            let on_text = move |text: Text<'_>| {
                if let Some(progress) = progress(&text) {
                    step.set_detail(progress);
                }
            };
            self.output.collect(on_text, |output| binaries::build_into(self.guard, output))
        })
    }

    fn migrate(&self, database: &Database, binaries: &Binaries, tools: &Tools) -> Result<(), Error> {
        self.step("Migrate the database", |_| {
            let migrated = self.output.collect(|_| {}, |output| database.migrate(binaries, tools, output));
            migrated.map_err(|error| database.explain(error))
        })
    }

    fn watch(&self, tools: &Tools, port: u16, variables: &[(&str, &str)]) -> Result<Watch, Error> {
        let mut functions = FunctionLog::new(self.screen.clone());
        let on_text = move |text: Text<'_>| {
            if let Text::Line(line) = text {
                functions.show(line);
            }
        };
        self.step("Start cargo lambda watch", |_| {
            self.output.collect(on_text, |output| {
                let options = watch::Options {
                    // Not reachable from other machines.
                    address: Ipv4Addr::LOCALHOST.into(),
                    port,
                    env: variables,
                    cors: self.options.cors,
                    output,
                };
                watch::start(tools, options)
            })
        })
    }

    /// Returns a secret: the given variable, or the random text in a file.
    fn secret(&self, variable: &str, file: &str) -> Result<String, Error> {
        if let Some(secret) = env::var(variable).ok().filter(|secret| !secret.is_empty()) {
            return Ok(secret);
        }
        let path = self.folder.join(file);
        if self.options.fresh {
            secret::remove(&path)?;
        }
        secret::load_or_create(&path)
    }

    /// The lines that stay at the end of the screen.
    fn ready(&self, watch: &Watch, database: &Database, mail: &Mail, admin_token: &str, time: Duration) -> Vec<String> {
        let api = watch.base_url();
        let mut lines = vec![
            String::new(),
            format!("{} after {}. Ctrl-C stops the service.", self.screen.paint(Color::Green, "Ready"), duration(time)),
            format!("  API       {api}"),
            format!("  Docs      {api}/api/docs"),
            format!("  Database  {}", database.shown_url()),
            format!("  Admin     Authorization: Bearer {admin_token}"),
            format!("  Mail      {}", mail.shown_folder()),
            format!("  Try       curl {api}/api/health/ready"),
        ];
        lines.extend(self.output.path().map(|path| format!("  Log       {}", path.display())));
        lines
    }
}

/// The number of built packages, as in `12/340`, from cargo's progress bar.
fn progress<'a>(text: &Text<'a>) -> Option<&'a str> {
    match text {
        Text::Overwritten(bar) => bar.split_once("] ")?.1.split(':').next(),
        Text::Line(_) => None,
    }
}

/// Starts the functions before their first requests, one by one, so that they do not delay a request that comes meanwhile.
fn wake(watch: &Watch) -> Result<(), Error> {
    let wakers: Vec<_> = binaries::endpoints()?.iter().map(|function| watch.waker(function)).collect();
    thread::spawn(|| wakers.into_iter().for_each(|wake| wake()));
    Ok(())
}

/// Waits for a signal, and calls `send_mail` meanwhile. Returns an error if a part ends before the signal.
fn wait(
    stop: &Receiver<()>,
    watch: &mut Watch,
    database: &mut Database,
    output: &Output,
    mut send_mail: impl FnMut(),
) -> Result<(), Error> {
    loop {
        match stop.recv_timeout(Duration::from_millis(200)) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            // The signal stops the children after it has sent its message.
            Err(RecvTimeoutError::Timeout) if process::is_stopping() => {}
            Err(RecvTimeoutError::Timeout) if watch.has_ended() => {
                let error = Error::new("`cargo lambda watch` ended unexpectedly.", "Run `cargo dev` again.");
                return Err(output.attach_to(error));
            }
            Err(RecvTimeoutError::Timeout) if database.has_ended() => {
                return Err(Error::new(
                    "PostgreSQL ended unexpectedly.",
                    "Read its log in target/dev/postgres/log, then run `cargo dev` again.",
                ));
            }
            Err(RecvTimeoutError::Timeout) => send_mail(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_of_a_build_is_read_from_the_bar_of_cargo() {
        let bar = Text::Overwritten("    Building [=======================> ] 338/341: health-get(build)");
        assert_eq!(progress(&bar), Some("338/341"));
        assert_eq!(progress(&Text::Line("   Compiling shared v0.1.0")), None);
    }
}
