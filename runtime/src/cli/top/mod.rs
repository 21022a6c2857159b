//! `weir top`: the daemon at work, live.
//!
//! It asks for the status at an interval and compares two answers; what they say together is
//! `overview`'s business, what that looks like `screen`'s.

mod screen;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use weir_bus::socket::BrokerClient;

use super::client::{SocketArguments, Stop, session};
use super::out::{self, Out, ReaderGone};
use super::overview::{Overview, Reply};
use super::request::ask;
use super::status::{STATUS_TOPIC, text};
use super::{Failure, Global};
use screen::Screen;

/// The shortest interval: a status costs the daemon a look at every count.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Events of the terminal that wait.
const EVENTS_WAITING: usize = 16;

#[derive(Args)]
pub(super) struct TopArguments {
    /// How often it looks: `1s`, `500ms`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1s")]
    interval: Duration,
    /// Looks twice, an interval apart, prints what was between, and ends.
    #[arg(long)]
    once: bool,
    /// Prints a line of JSON at each interval.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(super) fn top(global: &Global, arguments: &TopArguments) -> Result<ExitCode, Failure> {
    if arguments.interval < INTERVAL_MIN {
        return Err(Failure::Usage(format!(
            "--interval {}: at least {} ms",
            humantime::format_duration(arguments.interval),
            INTERVAL_MIN.as_millis()
        )));
    }
    session(global, &arguments.socket, "top", async |client| {
        let mut interval = tokio::time::interval(arguments.interval);
        // At fixed times: a slow answer moves none of those after it.
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let looks = Looks {
            client,
            interval,
            before: None,
        };
        if arguments.json {
            lines(looks, arguments.once).await
        } else if arguments.once || !std::io::stdout().is_terminal() {
            once(looks).await
        } else {
            live(looks).await
        }
    })
}

/// Looks at the daemon, at an interval.
struct Looks<'a> {
    client: &'a BrokerClient,
    interval: Interval,
    before: Option<Reply>,
}

impl Looks<'_> {
    /// The next look, compared with the one before.
    async fn next(&mut self) -> Result<Overview, Failure> {
        self.interval.tick().await;
        let reply = Reply::of(&ask(self.client, STATUS_TOPIC).await?);
        let overview = Overview::of(reply.clone(), self.before.as_ref());
        self.before = Some(reply);
        Ok(overview)
    }
}

async fn once(mut looks: Looks<'_>) -> Result<ExitCode, Failure> {
    looks.next().await?;
    let overview = looks.next().await?;
    out::print(text(&overview, &[]).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

async fn lines(mut looks: Looks<'_>, once: bool) -> Result<ExitCode, Failure> {
    let (mut stop, mut reader) = (Stop::listen()?, ReaderGone::watch()?);
    let mut out = Out::new();
    // The first has no rates.
    looks.next().await?;
    loop {
        let overview = tokio::select! {
            biased;
            () = stop.asked() => return Ok(ExitCode::SUCCESS),
            () = reader.gone() => return Ok(ExitCode::SUCCESS),
            overview = looks.next() => overview?,
        };
        let line = serde_json::to_string(&overview).context("an overview")?;
        let printed = out.line(&line).and_then(|()| out.flush());
        if let Err(unprinted) = printed {
            return out::ended(unprinted);
        }
        if once {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The terminal as it was, whatever ends what was drawn on it.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn live(mut looks: Looks<'_>) -> Result<ExitCode, Failure> {
    let mut stop = Stop::listen()?;
    let mut terminal = ratatui::try_init().context("the terminal")?;
    let _restore = Restore;
    let mut events = terminal_events()?;
    let mut screen = Screen::default();
    // Asking goes on beside the keys: a daemon that doesn't answer can be left at once.
    let (sender, mut found) = mpsc::channel(1);
    let looking = async {
        loop {
            let looked = looks.next().await.map_err(words);
            if sender.send(looked).await.is_err() {
                break;
            }
        }
    };
    let mut looking = std::pin::pin!(looking);
    loop {
        draw(&mut terminal, &screen)?;
        tokio::select! {
            () = stop.asked() => return Ok(ExitCode::SUCCESS),
            () = &mut looking => return Ok(ExitCode::SUCCESS),
            looked = found.recv() => match looked {
                Some(Ok(overview)) => screen.show(overview),
                Some(Err(problem)) => screen.notice(problem),
                None => return Ok(ExitCode::SUCCESS),
            },
            event = events.recv() => match event {
                Some(Event::Key(key)) if ends(key) => return Ok(ExitCode::SUCCESS),
                Some(Event::Key(key)) => scroll(&mut screen, key),
                // Drawing anew is all that a new size needs.
                Some(_) => {}
                None => return Ok(ExitCode::SUCCESS),
            },
        }
    }
}

fn draw(terminal: &mut DefaultTerminal, screen: &Screen) -> Result<(), Failure> {
    let drawn = terminal.draw(|frame| screen.draw(frame));
    drawn.context("the terminal")?;
    Ok(())
}

/// Reads keys on a thread that ends with the process.
fn terminal_events() -> Result<mpsc::Receiver<Event>, Failure> {
    let (sender, receiver) = mpsc::channel(EVENTS_WAITING);
    let read = move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(read)
        .context("a thread")?;
    Ok(receiver)
}

/// Whether a key ends it: q, Escape, and Ctrl-C, which a raw terminal doesn't make a signal of.
fn ends(key: KeyEvent) -> bool {
    let is_interrupt =
        key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || is_interrupt
}

fn scroll(screen: &mut Screen, key: KeyEvent) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    match key.code {
        KeyCode::Down | KeyCode::Char('j') => screen.scroll_by(1),
        KeyCode::Up | KeyCode::Char('k') => screen.scroll_by(-1),
        _ => {}
    }
}

fn words(failure: Failure) -> String {
    match failure {
        Failure::Failed(error) => format!("{error:#}"),
        Failure::Usage(text) => text,
    }
}
