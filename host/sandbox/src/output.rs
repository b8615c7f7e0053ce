//! Text of a plugin, bounded and escaped for messages.

use std::collections::VecDeque;
use thinkube_plan::Untrusted;

/// Longest line of a plugin in a message, in characters.
const MAX_LINE: usize = 400;

/// One line of `text`, escaped and cut.
pub(crate) fn line(text: &str) -> String {
    let cut: String = text.chars().take(MAX_LINE).collect();
    let mut safe = Untrusted(&cut).to_string();
    if cut.len() < text.len() {
        safe.push('…');
    }
    safe
}

/// The last bytes of a stream.
#[derive(Debug)]
pub(crate) struct Tail {
    kept: VecDeque<u8>,
    limit: usize,
    cut: bool,
}

impl Tail {
    pub(crate) fn new(limit: usize) -> Self {
        Self { kept: VecDeque::new(), limit, cut: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(self.limit)..];
        let surplus = (self.kept.len() + new.len()).saturating_sub(self.limit);
        self.cut |= surplus > 0 || new.len() < bytes.len();
        self.kept.drain(..surplus);
        self.kept.extend(new);
    }

    /// The last `count` lines, escaped.
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        let bytes: Vec<u8> = self.kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<&str> = text.lines().collect();
        // A cut stream can begin inside a line or a character.
        if self.cut && lines.len() > 1 {
            lines.remove(0);
        }
        let from = lines.len().saturating_sub(count);
        lines[from..].iter().map(|text| line(text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_whole_lines_within_its_limit() {
        let mut tail = Tail::new(16);
        tail.push(b"first line\nsecond");
        tail.push(b" line\nthird\n");
        assert_eq!(tail.lines(5), ["third"]);
        assert!(tail.kept.len() <= 16);
        tail.push(&[b'x'; 1000]);
        assert_eq!(tail.lines(5), ["x".repeat(16)]);
    }

    #[test]
    fn a_long_line_is_cut_and_marked() {
        let cut = line(&"y".repeat(5000));
        assert_eq!(cut.chars().count(), MAX_LINE + 1);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn bytes_that_are_not_utf_8_become_replacement_characters() {
        let mut tail = Tail::new(64);
        tail.push(b"ab\xff\xfecd\n");
        assert_eq!(tail.lines(1), ["ab\u{fffd}\u{fffd}cd"]);
    }
}
