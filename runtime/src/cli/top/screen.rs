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
        let last = u16::try_from(self.lines().len()).unwrap_or(u16::MAX);
        let moved = self.scrolled.saturating_add_signed(lines);
        self.scrolled = moved.min(last.saturating_sub(1));
    }

    fn lines(&self) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        for table in tables(&self.overview) {
            for line in table.lines() {
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

    fn problems(&self) -> Vec<Line<'static>> {
        let wrong = |text: &String| Line::styled(format!("! {}", table::line(text)), WRONG);
        let all = self.notice.iter().chain(&self.overview.problems);
        all.take(PROBLEMS_SHOWN_MAX).map(wrong).collect()
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let problems = self.problems();
        let problem_lines = u16::try_from(problems.len()).unwrap_or(u16::MAX);
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(problem_lines),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ]);
        let [top, wrong, _, body, foot] = areas.areas(frame.area());
        let head = Line::styled(head(&self.overview), BOLD);
        frame.render_widget(Paragraph::new(head), top);
        frame.render_widget(Paragraph::new(problems), wrong);
        let tables = Paragraph::new(self.lines()).scroll((self.scrolled, 0));
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
