/// Escapes what could move the cursor, colour the screen, break a line or reverse the reading order: whoever else
/// wrote it must not be able to forge the host's own output.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => safe.push_str("\\t"),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            // Bidirectional and line separators (Unicode TR36 section 3.3), byte order mark, zero width.
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                safe.extend(character.escape_unicode());
            }
            control if control.is_control() => safe.extend(control.escape_unicode()),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_sends_no_control_characters_to_the_terminal() {
        assert_eq!(escaped("a\u{1b}[31mb\r\nc\u{202e}d\u{7}é"), "a\\u{1b}[31mb\\r\\nc\\u{202e}d\\u{7}é");
    }
}
