//! Every framing in every cut, its limits, and what pausing and losing do to pieces that are here.

use super::*;
use crate::address::Address;
use crate::deferred::{Deferred, succeed};
use crate::protocol::Protocol;
use crate::reactor::Reactor;
use crate::transport::{RawTransport, Wrap};
use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

/// A transport's far side that notes what it is told.
#[derive(Default)]
struct Note {
    written: RefCell<Vec<u8>>,
    /// Whether it was lost, and whether it is paused.
    asked: Cell<(bool, bool)>,
}

impl Note {
    fn is_lost(&self) -> bool {
        self.asked.get().0
    }
    fn pause(&self, is_paused: bool) {
        self.asked.set((self.is_lost(), is_paused));
    }
    fn lose(&self) {
        self.asked.set((true, self.asked.get().1));
    }
}

impl RawTransport for Note {
    fn write(&self, data: &[u8]) {
        self.written.borrow_mut().extend_from_slice(data);
    }
    fn write_vectored(&self, slices: &[IoSlice<'_>]) {
        slices.iter().for_each(|slice| self.write(slice));
    }
    fn lose_connection(&self) {
        self.lose();
    }
    fn abort_connection(&self) {
        self.lose();
    }
    fn lose_write_connection(&self) {}
    fn pause_reading(&self) {
        self.pause(true);
    }
    fn resume_reading(&self) {
        self.pause(false);
    }
    fn is_reading(&self) -> bool {
        self.asked.get() == (false, false)
    }
    fn is_connected(&self) -> bool {
        !self.is_lost()
    }
    fn peer(&self) -> Address {
        Address::from(std::net::SocketAddr::from(([192, 0, 2, 1], 5)))
    }
    fn host(&self) -> Address {
        self.peer()
    }
    fn drained(&self) -> Deferred<()> {
        succeed(())
    }
    fn set_close_timeout(&self, _: Duration) {}
    fn set_nodelay(&self, _: bool) -> Result {
        Ok(())
    }
    fn set_keepalive(&self, _: Option<Duration>) -> Result {
        Ok(())
    }
    fn replace_stream(&self, _: Wrap) -> Result {
        Ok(())
    }
    fn retry_io(&self, _: crate::driver::Readiness) {}
    fn reactor(&self) -> Reactor {
        Reactor::new().unwrap()
    }
}

/// Notes every piece; obeys the pieces `pause`, `lose`, `fail`, and a number as so many raw bytes.
#[derive(Default)]
struct Pieces {
    seen: Rc<RefCell<Vec<String>>>,
    raw: usize,
}

impl Pieces {
    fn note(&mut self, transport: &Transport, piece: &[u8]) -> Result {
        let text = String::from_utf8_lossy(piece).into_owned();
        match &*text {
            "pause" => transport.pause_reading(),
            "lose" => transport.lose_connection(),
            "fail" => return Err(Failure::msg("on purpose")),
            number => self.raw = number.parse().unwrap_or(0),
        }
        self.seen.borrow_mut().push(text);
        Ok(())
    }
}

impl LineProtocol for Pieces {
    fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        self.note(transport, line)
    }
    fn is_raw(&self) -> bool {
        self.raw > 0
    }
    fn raw_data_received(&mut self, _: &Transport, data: &[u8]) -> Result<usize> {
        let taken = data.len().min(self.raw);
        self.raw -= taken;
        let raw = data[..taken].iter().map(|&byte| format!("raw {}", char::from(byte)));
        self.seen.borrow_mut().extend(raw);
        Ok(taken)
    }
    fn read_closed(&mut self, _: &Transport) {
        self.seen.borrow_mut().push("(end)".into());
    }
}

impl StringProtocol for Pieces {
    fn string_received(&mut self, transport: &Transport, string: &[u8]) -> Result {
        self.note(transport, string)
    }
}

struct Bench {
    note: Rc<Note>,
    transport: Transport,
    seen: Rc<RefCell<Vec<String>>>,
    protocol: Box<dyn Protocol>,
}

impl Bench {
    fn new(make: impl FnOnce(Pieces) -> Box<dyn Protocol>) -> Bench {
        let (note, pieces) = (Rc::new(Note::default()), Pieces::default());
        let (transport, seen) = (Transport::new(note.clone()), pieces.seen.clone());
        Bench { note, transport, seen, protocol: make(pieces) }
    }

    fn feed(&mut self, data: &[u8]) -> Result {
        self.protocol.data_received(&self.transport, data)
    }

    fn resume(&mut self) -> Result {
        self.transport.resume_reading();
        self.protocol.reading_resumed(&self.transport)
    }

    fn seen(&self) -> String {
        self.seen.borrow().join("|")
    }
}

fn lines(limit: usize) -> Bench {
    Bench::new(|pieces| Box::new(LineReceiver::new(pieces).max_length(limit)))
}

fn netstrings(limit: usize) -> Bench {
    Bench::new(|pieces| Box::new(NetstringReceiver::new(pieces).max_length(limit)))
}

fn ints<N: Prefix + 'static>(limit: usize) -> Bench {
    Bench::new(|pieces| Box::new(IntReceiver::<_, N>::new(pieces).max_length(limit)))
}

/// Feeds `data` in every cut into three and byte by byte; all must be seen as `want`.
fn in_every_split(make: impl Fn() -> Bench, data: &[u8], want: &str) {
    for first in 0..=data.len() {
        for second in first..=data.len() {
            let mut bench = make();
            for piece in [&data[..first], &data[first..second], &data[second..]] {
                bench.feed(piece).unwrap();
            }
            assert_eq!(bench.seen(), want, "cut at {first} and {second}");
        }
    }
    let mut bench = make();
    data.iter().for_each(|&byte| bench.feed(&[byte]).unwrap());
    assert_eq!(bench.seen(), want, "byte by byte");
}

#[test]
fn lines_and_raw_bytes_arrive_the_same_in_every_split() {
    let data = b"one\r\n\r\n\rthree\r\r\n\n3\r\na\r\nb\r\nrest";
    in_every_split(|| lines(10), data, "one||\rthree\r|\n3|a|b");
    let data = b"one\r\n3\r\nxyzb\r\n2\r\n\r\nc\r\nunfinished";
    in_every_split(|| lines(10), data, "one|3|raw x|raw y|raw z|b|2|raw \r|raw \n|c");
}

#[test]
fn a_delimiter_may_be_long_and_begin_again_inside_itself() {
    let make =
        || Bench::new(|pieces| Box::new(LineReceiver::new(pieces).delimiter(b"aab").max_length(5)));
    in_every_split(make, b"aaaabxaabaab", "aa|x|");
}

#[test]
fn a_delimiter_may_repeat_itself() {
    let cut_by = |delimiter: &'static [u8]| {
        move || {
            Bench::new(|pieces| {
                Box::new(LineReceiver::new(pieces).delimiter(delimiter).max_length(5))
            })
        }
    };
    in_every_split(cut_by(b"\n\n"), b"a\n\nb\n\n\nc\n\n\n\nd\nefg\n\nf\n", "a|b|\nc||d\nefg");
    in_every_split(cut_by(b"\r\n\r\n"), b"a\r\nb\r\n\r\n\r\n\r\nc\r\n\r", "a\r\nb|");
    in_every_split(cut_by(b"abab"), b"aabababababxababab", "a||abx");
    in_every_split(cut_by(b"aaa"), b"aaaaaaaxaaaa", "||ax");
    in_every_split(cut_by(b""), b"a\n\nb\n", "a||b");
}

#[test]
fn netstrings_arrive_the_same_in_every_split() {
    in_every_split(
        || netstrings(12),
        b"3:one,0:,12:hello, world,1::,5:unfi",
        "one||hello, world|:",
    );
}

#[test]
fn strings_with_a_length_arrive_the_same_in_every_split() {
    in_every_split(|| ints::<u8>(9), b"\x03one\x00\x01x\x05unfi", "one||x");
    in_every_split(|| ints::<u16>(9), b"\0\x03one\0\0\0\x01x\0", "one||x");
    in_every_split(|| ints::<u32>(9), b"\0\0\0\x03one\0\0\0\0\0\0\0\x01x\0\0\0", "one||x");
}

#[test]
fn the_longest_line_allowed_is_legal_however_its_delimiter_is_cut() {
    in_every_split(|| lines(5), b"abcde\r\nfghij\r\n", "abcde|fghij");
}

#[test]
fn a_line_over_the_limit_is_refused_before_and_after_its_delimiter_came() {
    for pieces in [&["abcdef\r\n"][..], &["abc", "def\r"], &["ok\r\nabcdefg"]] {
        let mut bench = lines(5);
        let outcome = pieces.iter().try_for_each(|piece| bench.feed(piece.as_bytes()));
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains("192.0.2.1:5") && text.ends_with("a line over 5 bytes"), "{text}");
    }
}

#[test]
fn a_line_without_end_is_refused_at_the_limit_and_not_later() {
    let mut bench = lines(5);
    bench.feed(b"abcdef").unwrap();
    assert!(bench.feed(b"g").is_err());
}

#[test]
fn a_protocol_may_skip_what_is_too_long() {
    struct Lenient(Rc<RefCell<Vec<String>>>);
    impl LineProtocol for Lenient {
        fn line_received(&mut self, _: &Transport, line: &[u8]) -> Result {
            self.0.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        }
        fn line_length_exceeded(&mut self, _: &Transport, _: &[u8], limit: usize) -> Result {
            self.0.borrow_mut().push(format!("over {limit}"));
            Ok(())
        }
    }
    let mut bench =
        Bench::new(|pieces| Box::new(LineReceiver::new(Lenient(pieces.seen)).max_length(5)));
    bench.feed(b"abcdefgh").unwrap();
    bench.feed(b"ij\r\n").unwrap();
    assert_eq!(bench.seen(), "over 5|ij");
    bench.feed(b"abc").unwrap();
    bench.feed(b"defgh").unwrap();
    bench.feed(b"x\r\nyy\r\n").unwrap();
    assert_eq!(bench.seen(), "over 5|ij|over 5|x|yy");
}

#[test]
fn raw_bytes_that_a_protocol_never_takes_are_not_kept_without_limit() {
    struct Lazy;
    impl LineProtocol for Lazy {
        fn line_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
        fn is_raw(&self) -> bool {
            true
        }
        fn raw_data_received(&mut self, _: &Transport, _: &[u8]) -> Result<usize> {
            Ok(0)
        }
    }
    let mut bench = Bench::new(|_| Box::new(LineReceiver::new(Lazy).max_length(5)));
    bench.feed(b"abcde").unwrap();
    assert!(bench.feed(b"f").unwrap_err().to_string().contains("took none of 6 raw bytes"));
}

#[test]
fn a_line_that_became_raw_bytes_hides_no_delimiter_of_the_next() {
    struct Switched(Rc<RefCell<Vec<String>>>, Rc<Cell<bool>>);
    impl LineProtocol for Switched {
        fn line_received(&mut self, _: &Transport, line: &[u8]) -> Result {
            self.0.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        }
        fn is_raw(&self) -> bool {
            self.1.get()
        }
        fn raw_data_received(&mut self, _: &Transport, _: &[u8]) -> Result<usize> {
            self.1.set(false);
            Ok(4)
        }
    }
    let is_raw: Rc<Cell<bool>> = Rc::default();
    let make = |pieces: Pieces| LineReceiver::new(Switched(pieces.seen, is_raw.clone()));
    let mut bench = Bench::new(|pieces| Box::new(make(pieces)));
    bench.feed(b"abcd").unwrap();
    is_raw.set(true);
    bench.feed(b"x\r\ny\r\n").unwrap();
    assert_eq!(bench.seen(), "x|y");
}

#[test]
fn pausing_stops_delivery_at_once_and_resuming_goes_on_in_order() {
    let mut bench = lines(9);
    bench.feed(b"a\r\npause\r\nb\r\npause\r\nc\r\n").unwrap();
    assert_eq!(bench.seen(), "a|pause");
    bench.resume().unwrap();
    assert_eq!(bench.seen(), "a|pause|b|pause");
    bench.resume().unwrap();
    assert_eq!(bench.seen(), "a|pause|b|pause|c");
}

#[test]
fn the_peers_end_waits_for_the_lines_that_a_pause_holds_back() {
    let mut bench = lines(9);
    bench.feed(b"pause\r\nlast\r\nrest").unwrap();
    bench.protocol.read_closed(&bench.transport);
    assert_eq!(bench.seen(), "pause");
    bench.resume().unwrap();
    assert_eq!(bench.seen(), "pause|last|(end)");
}

#[test]
fn nothing_is_delivered_once_the_connection_is_being_lost_or_has_failed() {
    let mut bench = lines(9);
    bench.feed(b"lose\r\nmore\r\n").unwrap();
    assert_eq!(bench.seen(), "lose");
    let mut bench = ints::<u8>(9);
    assert!(bench.feed(b"\x04fail\x04more").is_err());
    assert_eq!(bench.seen(), "");
}

#[test]
fn what_is_no_netstring_is_refused_at_its_first_wrong_byte() {
    for data in
        [":", "01:", "00:", "-1:", "+1:", " 1:", "1 :", "x", "3:abcd", "13", "99999999999999"]
    {
        let mut bench = netstrings(12);
        assert!(bench.feed(data.as_bytes()).is_err(), "{data} was taken");
        assert_eq!(bench.seen(), "");
    }
}

#[test]
fn a_length_over_the_limit_is_refused_before_the_string_comes() {
    let text = ints::<u32>(9).feed(&[0, 0, 0, 10]).unwrap_err().to_string();
    assert!(text.ends_with("it announced a string of 10 bytes, over the limit"), "{text}");
    assert!(ints::<u32>(usize::MAX).feed(&[0xff; 4]).is_ok(), "unless the limit is raised");
}

#[test]
fn what_is_too_long_to_send_is_not_sent() {
    let bench = lines(9);
    let transport = &bench.transport;
    assert_eq!(send_int::<u8>(transport, &[0; 256], 999), Err(TooLong { length: 256, limit: 255 }));
    assert_eq!(send_int::<u32>(transport, b"abc", 2), Err(TooLong { length: 3, limit: 2 }));
    assert_eq!(send_netstring(transport, b"abc", 2), Err(TooLong { length: 3, limit: 2 }));
    assert_eq!(send_line(transport, b"a\r\nb"), Err(TooLong { length: 4, limit: 1 }));
    let long = vec![b'x'; 16_385];
    let refused = TooLong { length: 16_385, limit: 16_384 };
    assert_eq!(send_line(transport, &long), Err(refused));
    assert!(bench.note.written.borrow().is_empty());
}

#[test]
fn what_is_just_short_enough_is_sent() {
    let bench = lines(9);
    let transport = &bench.transport;
    send_int::<u8>(transport, [0; 255], 255).unwrap();
    send_netstring(transport, b"abc", 3).unwrap();
    send_line(transport, vec![b'x'; 16_384]).unwrap();
    assert_eq!(bench.note.written.borrow().len(), 256 + 6 + 16_386);
}

#[test]
fn the_longest_string_allowed_is_taken_and_one_byte_more_is_not() {
    for (mut bench, longest, longer) in
        [(netstrings(3), &b"3:abc,"[..], &b"4"[..]), (ints::<u8>(3), b"\x03abc", b"\x04")]
    {
        bench.feed(longest).unwrap();
        assert_eq!(bench.seen(), "abc");
        assert!(bench.feed(longer).is_err());
    }
}

#[test]
fn after_a_length_over_the_limit_that_a_protocol_forgives_the_connection_is_lost_in_order() {
    struct Lenient;
    impl StringProtocol for Lenient {
        fn string_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            panic!("there is no telling where it begins")
        }
        fn length_limit_exceeded(&mut self, _: &Transport, _: usize) -> Result {
            Ok(())
        }
    }
    let receivers: [fn(Pieces) -> Box<dyn Protocol>; 2] = [
        |_| Box::new(NetstringReceiver::new(Lenient).max_length(3)),
        |_| Box::new(Int8Receiver::new(Lenient).max_length(3)),
    ];
    for (make, data) in receivers.into_iter().zip([&b"4:abcd,1:x,"[..], b"\x04abcd\x01x"]) {
        let mut bench = Bench::new(make);
        bench.feed(data).unwrap();
        assert!(bench.note.is_lost());
        bench.feed(data).unwrap();
    }
}

#[test]
fn the_peers_end_is_told_at_once_when_nothing_is_held_back_and_once() {
    for data in [&b"line\r\n"[..], b"line\r\nunfinished"] {
        let mut bench = lines(20);
        bench.feed(data).unwrap();
        bench.protocol.read_closed(&bench.transport);
        assert_eq!(bench.seen(), "line|(end)");
        bench.resume().unwrap();
        assert_eq!(bench.seen(), "line|(end)");
    }
    let mut bench = lines(20);
    bench.feed(b"pause\r\n").unwrap();
    bench.protocol.read_closed(&bench.transport);
    assert_eq!(bench.seen(), "pause|(end)", "nothing waits behind the pause");
}

#[test]
fn raw_bytes_that_wait_are_as_many_as_a_line_may_be() {
    struct AtLast(Rc<RefCell<Vec<String>>>);
    impl LineProtocol for AtLast {
        fn line_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
        fn is_raw(&self) -> bool {
            true
        }
        fn raw_data_received(&mut self, _: &Transport, data: &[u8]) -> Result<usize> {
            let taken = if data.len() < 5 { 0 } else { data.len() };
            self.0.borrow_mut().push(format!("{} of {}", taken, data.len()));
            Ok(taken)
        }
    }
    let mut bench =
        Bench::new(|pieces| Box::new(LineReceiver::new(AtLast(pieces.seen)).max_length(4)));
    bench.feed(b"abcd").unwrap();
    bench.feed(b"e").unwrap();
    assert_eq!(bench.seen(), "0 of 4|5 of 5");
}

#[test]
fn what_is_sent_has_its_framing() {
    let bench = lines(9);
    send_int::<u16>(&bench.transport, b"abc", 9).unwrap();
    send_netstring(&bench.transport, b"", 9).unwrap();
    send_line(&bench.transport, b"x").unwrap();
    assert_eq!(*bench.note.written.borrow(), b"\0\x03abc0:,x\r\n");
}

#[test]
fn limits_of_nothing_of_one_and_of_everything_hold_in_every_framing() {
    for limit in [0, 1, 2, usize::MAX - 1, usize::MAX] {
        let framed: [(Bench, &[u8]); 5] = [
            (lines(limit), b"\r\na\r\nbb\r\n"),
            (netstrings(limit), b"0:,1:a,2:bb,"),
            (ints::<u8>(limit), b"\0\x01a\x02bb"),
            (ints::<u16>(limit), b"\0\0\0\x01a\0\x02bb"),
            (ints::<u32>(limit), b"\0\0\0\0\0\0\0\x01a\0\0\0\x02bb"),
        ];
        for (mut bench, data) in framed {
            let ended = bench.feed(data);
            let want = ["", "|a", "|a|bb"][limit.min(2)];
            assert_eq!(bench.seen(), want, "limit {limit}");
            assert_eq!(ended.is_err() || bench.note.is_lost(), limit < 2, "limit {limit}");
        }
    }
}

#[test]
fn the_longest_lengths_that_can_be_said_overflow_nothing() {
    let said = format!("{}:", usize::MAX);
    let mut waits = netstrings(usize::MAX);
    waits.feed(said.as_bytes()).unwrap();
    waits.feed(b"abc").unwrap();
    assert_eq!((waits.seen().as_str(), waits.note.is_lost()), ("", false));
    let mut too_long = netstrings(usize::MAX);
    too_long.feed(said.trim_end_matches(':').as_bytes()).unwrap();
    assert!(!too_long.note.is_lost());
    assert!(too_long.feed(b"0").is_err(), "no digit more is waited for");
    let mut int = ints::<u32>(usize::MAX);
    int.feed(&[0xff; 9]).unwrap();
    assert_eq!((int.seen().as_str(), int.note.is_lost()), ("", false));
}
