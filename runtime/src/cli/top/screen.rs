//! An overview, drawn. It decides nothing: what is wrong, the overview says.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use crate::cli::overview::{Overview, tables};
use crate::cli::status::head;
use crate::cli::table::{self, Look};

/// Problems that are shown at a time.
const PROBLEMS_SHOWN_MAX: usize = 4;

/// What a narrow terminal goes without, the least important first. What is wrong, and who it is about, stays.
const FIRST_TO_GO: [&str; 21] = [
    "MODULE",
    "SIGNED BY",
    "SUBSCRIPTIONS",
    "PATTERNS",
    "P99",
    "NS/ROW",
    "POISON",
    "TIME",
    "GEN",
    "WORLD",
    "REMOVED",
    "IN FLIGHT",
    "PUBLISHED",
    "SINCE",
    "REFUSED",
    "ANSWERED",
    "PRODUCED",
    "BYTES",
    "FUEL/ROW",
    "WHO",
    "MEMORY",
];

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const WRONG: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// What is drawn.
#[derive(Debug, Default)]
pub(super) struct Screen {
    overview: Overview,
    /// Why there is nothing newer.
    notice: Option<String>,
    /// Lines of the tables that have moved out at the top.
    scrolled: u16,
}

impl Screen {
    /// Shows that, and that all is well with the daemon.
    pub(super) fn show(&mut self, overview: Overview) {
        self.overview = overview;
        self.notice = None;
    }

    /// Says why what is shown is old.
    pub(super) fn notice(&mut self, problem: String) {
        self.notice = Some(problem);
    }

    /// Moves the tables by so many lines.
    pub(super) fn scroll_by(&mut self, lines: i16) {
        self.scrolled = self.scrolled.saturating_add_signed(lines);
        self.scrolled = self.scrolled_within(self.lines(usize::MAX).len());
    }

    /// How far the tables have moved, where they have so many lines: what was scrolled past may be gone.
    fn scrolled_within(&self, lines: usize) -> u16 {
        let last = u16::try_from(lines).unwrap_or(u16::MAX).saturating_sub(1);
        self.scrolled.min(last)
    }

    fn lines(&self, width: usize) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        for table in tables(&self.overview) {
            for line in table.lines_within(width, &FIRST_TO_GO) {
                let style = match line.look {
                    Look::Title => FAINT,
                    Look::Plain => Style::new(),
                    Look::Wrong => WRONG,
                };
                lines.push(Line::styled(line.text, style));
            }
            lines.push(Line::default());
        }
        lines
    }

    fn problems(&self, width: usize) -> Vec<Line<'static>> {
        let wrong = |text: &String| {
            let mut line = format!("! {}", table::line(text));
            table::cut(&mut line, width);
            Line::styled(line, WRONG)
        };
        let all = self.notice.iter().chain(&self.overview.problems);
        all.take(PROBLEMS_SHOWN_MAX).map(wrong).collect()
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let width = usize::from(frame.area().width);
        let problems = self.problems(width);
        let problem_lines = u16::try_from(problems.len()).unwrap_or(u16::MAX);
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(problem_lines),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ]);
        let [top, wrong, _, body, foot] = areas.areas(frame.area());
        let published = table::count(self.overview.published_rows());
        let mut head = head(&self.overview, &published);
        table::cut(&mut head, width);
        frame.render_widget(Paragraph::new(Line::styled(head, BOLD)), top);
        frame.render_widget(Paragraph::new(problems), wrong);
        let lines = self.lines(width);
        let scrolled = self.scrolled_within(lines.len());
        let tables = Paragraph::new(lines).scroll((scrolled, 0));
        frame.render_widget(tables, body);
        let keys = Line::styled("q ends, ↑ ↓ scroll", FAINT);
        frame.render_widget(Paragraph::new(keys), foot);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;
    use crate::cli::overview::Reply;

    /// Seconds of a day: so many looks has `weir top` by default.
    const LOOKS: u64 = 86_400;
    /// Of those, each so-manieth is drawn.
    const DRAWN: u64 = 900;

    /// What a daemon with something of everything answers after so many seconds. Subscribers come and go.
    fn reply(second: u64) -> serde_json::Value {
        let rows = second * 12_345;
        let counts = json!({
            "matched": {"rows": rows}, "delivered": {"rows": rows}, "dropped": {},
            "queued": {"rows": second % 1_000, "batches": second % 3}, "queued_bytes": second * 1_000 % (16 << 20),
        });
        let slot = |name: &str, world: &str| {
            json!({
                "slot": name, "world": world, "module": "builtin:sql-trigger", "state": "running",
                "generation": 1 + second / 3_600, "answered": rows, "rows_answered": rows,
                "fuel": rows * 100, "time_ns": rows * 50, "cpu_ns": second * 1_000_000,
                "memory_bytes": 3 << 20, "queue": counts, "signed_by": "release-key",
                "fuel_of_row": {"p50": 90, "p99": 240}, "time_of_row_ns": {"p50": 40, "p99": 90},
                "faults": {"deadline": second / 40_000}, "last_fault": {"reason": "deadline"},
            })
        };
        let tap = second / 60;
        json!({
            "component": "weir", "version": "0.1.0", "pid": 1_234_567, "seconds": second,
            "sources": [
                {"name": "process", "health": "healthy", "produced": rows, "published": rows},
                {"name": "network-connections", "health": "degraded", "reason": "no privilege",
                 "produced": rows, "published": rows, "removed": rows},
            ],
            "slots": [slot("rest", "stage"), slot("built-in-rules", "trigger"), slot("noise", "filter")],
            "bus": {"published": {"rows": rows * 3}, "subscribers": [
                {"id": 1, "name": "slot:built-in-rules", "patterns": ["events.>"], "counts": counts},
                {"id": 100 + tap, "name": format!("weir-tap-{tap}/tap"), "patterns": ["events.process.>"], "counts": counts},
            ]},
            "broker": {"connections": [
                {"name": format!("weir-tap-{tap}"), "source": "uid:1000,pid:4194304", "seconds": second % 60,
                 "subscriptions": ["tap"], "published": {"published": 0}},
            ]},
        })
    }

    #[test]
    fn a_day_of_looks_fits_eighty_columns_and_keeps_no_more_than_two_of_them() {
        let mut screen = Screen::default();
        let mut before: Option<Reply> = None;
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
        let size =
            |screen: &Screen| serde_json::to_string(&screen.overview).map_or(0, |text| text.len());
        let mut sizes = Vec::new();
        for second in 1..=LOOKS {
            let reply = Reply::of(&reply(second));
            screen.show(Overview::of(reply.clone(), before.as_ref()));
            before = Some(reply);
            if second % DRAWN != 2 {
                continue;
            }
            sizes.push(size(&screen));
            terminal.draw(|frame| screen.draw(frame)).expect("drawn");
            for line in screen.lines(80).iter().chain(&screen.problems(80)) {
                assert!(line.width() <= 80, "{line}");
            }
            let shown = terminal.backend().to_string();
            for must in [
                "SOURCE",
                "network-connections",
                "SLOT",
                "built-in-rules",
                "STATE",
                "DROPPED",
                "FAULTS",
                "/s",
            ] {
                assert!(shown.contains(must), "{must} is not shown:\n{shown}");
            }
        }
        // A look more only has more digits.
        let (first, most) = (sizes[0], *sizes.iter().max().expect("looks"));
        assert!(most < first + first / 4, "{first} became {most}");
        assert!(screen.notice.is_none() && screen.scrolled == 0);
    }

    #[test]
    fn what_was_scrolled_past_and_is_gone_leaves_no_empty_screen() {
        let mut screen = Screen::default();
        screen.show(Overview::of(Reply::of(&reply(5)), None));
        (0..100).for_each(|_| screen.scroll_by(1));
        let one = json!({"sources": [{"name": "process", "health": "healthy"}]});
        screen.show(Overview::of(Reply::of(&one), None));
        let lines = screen.lines(80).len();
        assert!(usize::from(screen.scrolled_within(lines)) < lines);
        screen.scroll_by(-1);
        assert!(usize::from(screen.scrolled) < lines);
    }

    #[test]
    fn who_is_slow_is_named_and_highlighted_on_any_size() {
        let reply = json!({
            "component": "weir", "version": "1.0.0", "pid": 7, "seconds": 5.0,
            "bus": {"published": {"rows": 12}, "subscribers": [
                {"id": 1, "name": "quick", "counts": {"delivered": {"rows": 12}}},
                {"id": 2, "name": "laggard", "counts": {"dropped": {"queue-full": {"rows": 3}}}},
            ]},
        });
        let mut screen = Screen::default();
        screen.show(Overview::of(Reply::of(&reply), None));
        let mut terminal = Terminal::new(TestBackend::new(64, 8)).expect("a terminal");
        terminal.draw(|frame| screen.draw(frame)).expect("drawn");
        let shown = terminal.backend().to_string();
        let expected = [
            "weir — weir 1.0.0, pid 7, since 5.0 s: 12 rows over the bus",
            "! subscriber laggard is slow: 3 rows dropped",
            "",
            "SUBSCRIBER  DELIVERED  QUEUED  BYTES  DROPPED",
            "quick              12       0    0 B        0",
            "laggard             0       0    0 B        3",
            "",
            "q ends, ↑ ↓ scroll",
        ];
        for (line, expected) in shown.lines().zip(expected) {
            assert_eq!(line.trim_matches('"').trim_end(), expected, "{shown}");
        }
        let cell = terminal.backend().buffer().cell((0, 5)).expect("a cell");
        assert_eq!((cell.symbol(), cell.fg), ("l", Color::Red));
        // Smaller than what there is to show: nothing breaks.
        for (width, height) in [(1, 1), (5, 3), (64, 2)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
            terminal.draw(|frame| screen.draw(frame)).expect("drawn");
        }
        screen.scroll_by(1);
        screen.notice("no daemon".to_owned());
        terminal.draw(|frame| screen.draw(frame)).expect("drawn");
        let shown = terminal.backend().to_string();
        assert!(
            shown.contains("! no daemon") && !shown.contains("SUBSCRIBER"),
            "{shown}"
        );
    }
}
