//! Server-sent events, as they come in: bytes in pieces, events out.

use quorate_core::Failure;

use crate::wire::invalid;

/// Largest event of a stream.
const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// Puts events together from pieces that end anywhere.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// A line feed that comes next belongs to the line that has just ended.
    after_return: bool,
    begun: bool,
}

impl Events {
    /// Takes a piece in, and gives the events that end in it.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        for byte in piece {
            match byte {
                b'\n' if std::mem::take(&mut self.after_return) => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&line)?);
                }
                _ => {
                    self.after_return = false;
                    self.line.push(*byte);
                    if self.line.len() + self.event.data.len() > MAX_EVENT_BYTES {
                        return Err(invalid(format!("sent a piece of its answer with more than the {MAX_EVENT_BYTES} bytes allowed")));
                    }
                }
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<Event>, Failure> {
        let line = std::str::from_utf8(line).map_err(|_| invalid("sent a piece of its answer that is not UTF-8".to_owned()))?;
        let line = if std::mem::replace(&mut self.begun, true) { line } else { line.trim_start_matches('\u{feff}') };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Ok(std::mem::take(&mut self.has_data).then_some(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments, and what is there to go on after a break.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_wherever_the_pieces_end() {
        let stream = "\u{feff}: hello\r\nevent: delta\r\ndata: {\"a\":\r\ndata: \"ü\"}\r\n\r\nretry: 3\n\ndata:x\rid: 7\r\rdata: open";
        let mut whole = Events::default();
        let expected = whole.take(stream.as_bytes()).unwrap();
        let of = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        assert_eq!(expected, [of("delta", "{\"a\":\n\"ü\"}"), of("", "x")]);
        for size in 1..stream.len() {
            let mut events = Events::default();
            let pieces = stream.as_bytes().chunks(size);
            let found: Vec<Event> = pieces.flat_map(|piece| events.take(piece).unwrap()).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_never_ends_is_refused() {
        let mut events = Events::default();
        let piece = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert!(events.take(&piece).unwrap_err().message.contains("bytes allowed"));
        assert!(Events::default().take(b"data: \xff\n").is_err());
    }
}
