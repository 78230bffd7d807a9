//! The keys of `dev`.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::Action;

/// What the screen says of keys: lines that fit 80 columns.
pub(super) const HELP: [&str; 4] = [
    "up/down select   k kill   x stop   s suspend   r revive   K revive all",
    "b restart   R restart one by one   p partition/whole   a add   l leave   j join",
    "+/- load   g/G gossip off/on   t tick all   f forget   m views   i statistics",
    "e/E evict/undo   space clear   ? this help   q or Ctrl-C quit",
];

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    Do(Action),
    Up,
    Down,
    MoreLoad,
    LessLoad,
    /// Cuts the members in two, or lets everything pass again.
    TogglePartition,
    Views,
    Statistics,
    Clear,
    Help,
    Quit,
}

/// The meaning of a key, with the member at `selected`; `None` when it has none.
pub(super) fn meaning(key: KeyEvent, selected: usize) -> Option<Pressed> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Pressed::Quit);
    }
    Some(match key.code {
        KeyCode::Up => Pressed::Up,
        KeyCode::Down => Pressed::Down,
        KeyCode::Char(c) => match c {
            'k' => Pressed::Do(Action::Kill(selected)),
            'x' => Pressed::Do(Action::Stop(selected)),
            's' => Pressed::Do(Action::Suspend(selected)),
            'r' => Pressed::Do(Action::Revive(selected)),
            'K' => Pressed::Do(Action::ReviveAll),
            'b' => Pressed::Do(Action::Restart(selected)),
            'R' => Pressed::Do(Action::RollingRestart),
            'p' => Pressed::TogglePartition,
            'a' => Pressed::Do(Action::Add),
            'l' => Pressed::Do(Action::Leave(selected)),
            'j' => Pressed::Do(Action::Join(selected)),
            'g' => Pressed::Do(Action::StopGossip),
            'G' => Pressed::Do(Action::StartGossip),
            't' => Pressed::Do(Action::TickAll),
            'e' => Pressed::Do(Action::Evict(selected)),
            'E' => Pressed::Do(Action::UndoEvict(selected)),
            'f' => Pressed::Do(Action::Reap(selected)),
            '+' => Pressed::MoreLoad,
            '-' => Pressed::LessLoad,
            'm' => Pressed::Views,
            'i' => Pressed::Statistics,
            ' ' => Pressed::Clear,
            '?' | 'h' => Pressed::Help,
            'q' => Pressed::Quit,
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_help_means_something() {
        for key in "kxsrKbRpaljgGteEf+-mi ?hq".chars() {
            let pressed = meaning(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), 2);
            assert!(pressed.is_some(), "{key:?}");
        }
        for line in HELP {
            assert!(line.len() <= 80, "{line}");
            for word in line.split("   ").flat_map(|entry| entry.split(' ').next()) {
                let keys = match word {
                    "up/down" | "space" => continue,
                    word => word.split('/'),
                };
                for key in keys {
                    let key = KeyEvent::new(
                        KeyCode::Char(key.chars().next().unwrap()),
                        KeyModifiers::NONE,
                    );
                    assert!(meaning(key, 0).is_some(), "{word}");
                }
            }
        }
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(meaning(ctrl_c, 0), Some(Pressed::Quit));
        assert_eq!(meaning(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::NONE), 0), None);
        let kill = KeyEvent::new(KeyCode::Char('k'), KeyModifiers::NONE);
        assert_eq!(meaning(kill, 2), Some(Pressed::Do(Action::Kill(2))));
    }
}
