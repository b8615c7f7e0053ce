//! Text of a plugin, a server or a record, made safe to print.

use std::fmt::{self, Write as _};

/// Text of a plugin, a server or a record. Its `Display` escapes what could move the cursor, colour the screen, break a line or
/// reverse the reading order, so the text cannot forge the host's own output.
///
/// ```
/// use thinkube_plan::Untrusted;
/// assert_eq!(Untrusted("a\u{1b}[2K\nb").to_string(), "a\\u{1b}[2K\\nb");
/// assert_eq!(Untrusted("a\u{1b}[2K\nb").lines().to_string(), "a\\u{1b}[2K\nb");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untrusted<'a>(pub &'a str);

impl<'a> Untrusted<'a> {
    /// The same text with its line breaks kept, for text of several lines.
    pub fn lines(self) -> UntrustedLines<'a> {
        UntrustedLines(self.0)
    }
}

impl fmt::Display for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| write_escaped(character, f))
    }
}

/// [`Untrusted`] text of several lines: `\n` and, before it, `\r` end a line and stay a line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UntrustedLines<'a>(&'a str);

impl fmt::Display for UntrustedLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.0.split('\n').enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{}", Untrusted(line.strip_suffix('\r').unwrap_or(line)))?;
        }
        Ok(())
    }
}

fn write_escaped(character: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match character {
        '\t' => f.write_str("\\t"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        // Bidirectional and line separators (Unicode TR36 section 3.3), byte order mark, zero width.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
            write!(f, "{}", character.escape_unicode())
        }
        control if control.is_control() => write!(f, "{}", control.escape_unicode()),
        other => f.write_char(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_sends_no_control_characters_to_the_terminal() {
        let text = "a\u{1b}[31mb\r\nc\u{202e}d\u{7}é";
        assert_eq!(Untrusted(text).to_string(), "a\\u{1b}[31mb\\r\\nc\\u{202e}d\\u{7}é");
        assert_eq!(Untrusted(text).lines().to_string(), "a\\u{1b}[31mb\nc\\u{202e}d\\u{7}é");
    }
}
