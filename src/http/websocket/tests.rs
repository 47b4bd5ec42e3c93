// Frames in every split, both roles, and what a peer may not do.

use super::frame::{Opcode, write_head};
use super::mask;
use super::{Close, CloseCode, Codec, Event, Limits, SendError, Violation};

/// An event without its pieces: those of a message are joined.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Text(Vec<u8>, bool),
    Binary(Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Close),
    Refused(Violation),
    Truncated,
}

use Heard::{Binary, Ping, Pong, Refused, Text, Truncated};

fn text(text: &str) -> Heard {
    Text(text.as_bytes().to_vec(), true)
}

fn limits() -> Limits {
    Limits { message: 70_000, fragments: 5 }
}

/// A frame with any first byte, masked or not, whose length takes as few bytes as it can.
fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = Vec::new();
    write_head(Opcode::Text, true, payload.len(), mask, &mut out);
    out[0] = first;
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], mask.unwrap_or_default(), 0);
    out
}

fn run(mut codec: Codec, pieces: &[&[u8]]) -> Vec<Heard> {
    let mut heard: Vec<Heard> = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = &mut bytes[..];
        while let Some(event) = codec.feed(&mut input) {
            let it = match event {
                Event::Text(piece) => match heard.last_mut() {
                    Some(Text(before, is_last @ false)) => {
                        before.extend_from_slice(piece.data);
                        *is_last = piece.is_last;
                        continue;
                    }
                    _ => Text(piece.data.to_vec(), piece.is_last),
                },
                Event::Binary(piece) => match heard.last_mut() {
                    Some(Binary(before, is_last @ false)) => {
                        before.extend_from_slice(piece.data);
                        *is_last = piece.is_last;
                        continue;
                    }
                    _ => Binary(piece.data.to_vec(), piece.is_last),
                },
                Event::Ping(payload) => Ping(payload.to_vec()),
                Event::Pong(payload) => Pong(payload.to_vec()),
                Event::Close(close) => Heard::Close(close),
                Event::Refused(violation) => Refused(violation),
            };
            heard.push(it);
        }
        assert!(input.is_empty(), "all of it is taken");
    }
    if codec.end().is_some() {
        heard.push(Truncated);
    }
    heard
}

/// Sends frames to both roles, whole, byte by byte, and in every two pieces.
fn expect(frames: &[(u8, &[u8])], expected: &[Heard]) {
    for key in [Some([0x37, 0xfa, 0x21, 0x3d]), Some([0; 4]), None] {
        let codec = || match key {
            Some(_) => Codec::server(limits()),
            None => Codec::client(limits(), || 7),
        };
        let sent: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| frame(*first, payload, key)).collect();
        let whole = run(codec(), &[&sent]);
        let mut wanted = expected.to_vec();
        if !matches!(expected.last(), Some(Heard::Close(_) | Refused(_))) {
            wanted.push(Truncated);
        }
        assert_eq!(whole, wanted, "{frames:?}");
        assert_eq!(run(codec(), &sent.chunks(1).collect::<Vec<_>>()), wanted, "{frames:?}");
        let step = sent.len() / 300 + 1;
        for cut in (0..sent.len()).step_by(step) {
            let (first, second) = sent.split_at(cut);
            assert_eq!(run(codec(), &[first, second]), wanted, "{frames:?} cut at {cut}");
        }
    }
}

#[test]
fn messages_arrive_whole_in_every_split() {
    expect(&[(0x81, b"Hello"), (0x82, &[0, 255])], &[text("Hello"), Binary(vec![0, 255], true)]);
    expect(&[(0x81, b""), (0x82, b"")], &[text(""), Binary(vec![], true)]);
    for length in [125, 126, 127, 65_535, 65_536] {
        let long = vec![b'a'; length];
        expect(&[(0x82, &long)], &[Binary(long.clone(), true)]);
    }
}

#[test]
fn fragments_are_one_message_and_pings_go_between() {
    expect(&[(0x01, b"Hel"), (0x00, b""), (0x80, b"lo")], &[text("Hello")]);
    expect(&[(0x01, b""), (0x00, b""), (0x80, b"")], &[text("")]);
    let between = [(0x01, &b"Hel"[..]), (0x89, b"?"), (0x8a, b""), (0x80, b"lo"), (0x82, b"x")];
    let expected = [
        Text(b"Hel".to_vec(), false),
        Ping(b"?".to_vec()),
        Pong(vec![]),
        text("lo"),
        Binary(b"x".to_vec(), true),
    ];
    expect(&between, &expected);
    let long = [b'p'; 125];
    expect(&[(0x89, &long)], &[Ping(long.to_vec())]);
}

#[test]
fn text_is_refused_at_its_first_wrong_byte() {
    let refused = |good: &[u8]| {
        let mut heard = vec![Refused(Violation::NotUtf8)];
        if !good.is_empty() {
            heard.insert(0, Text(good.to_vec(), false));
        }
        heard
    };
    expect(&[(0x81, b"a\xff b")], &refused(b"a"));
    expect(&[(0x01, b"\xce"), (0x80, b"\xba")], &[text("κ")]);
    expect(&[(0x01, b"\xce"), (0x80, b"z")], &refused(b"\xce"));
    expect(&[(0x01, b"\xf4"), (0x00, b"\x90"), (0x80, b"\x80\x80")], &refused(b"\xf4"));
    expect(&[(0x81, b"ok\xe2\x82")], &refused(b"ok\xe2\x82"));
    expect(&[(0x81, b"\xed\xa0\x80")], &refused(b"\xed"));
    // Bytes may be anything.
    expect(&[(0x82, b"\xff\xfe")], &[Binary(vec![0xff, 0xfe], true)]);
}

#[test]
fn what_a_peer_may_not_send_is_refused() {
    for first in [0xc1, 0xa1, 0x91, 0xf1] {
        expect(&[(first, b"a")], &[Refused(Violation::ReservedBits)]);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        expect(&[(0x80 | opcode, b"a")], &[Refused(Violation::ReservedOpcode)]);
    }
    expect(&[(0x89, &[0; 126])], &[Refused(Violation::LongControl)]);
    expect(&[(0x88, &[0; 65_536])], &[Refused(Violation::LongControl)]);
    for first in [0x08, 0x09, 0x0a] {
        expect(&[(first, b"")], &[Refused(Violation::FragmentedControl)]);
    }
    expect(&[(0x80, b"a")], &[Refused(Violation::Continuation)]);
    expect(&[(0x81, b"a"), (0x00, b"b")], &[text("a"), Refused(Violation::Continuation)]);
    let inside = [Text(b"a".to_vec(), false), Refused(Violation::Interleaved)];
    expect(&[(0x01, b"a"), (0x81, b"b")], &inside);
    expect(&[(0x01, b"a"), (0x82, b"b")], &inside);
}

#[test]
fn a_message_beyond_its_limits_is_refused_before_it_comes() {
    let limit = limits().message;
    let refused = Refused(Violation::MessageTooLong { limit });
    expect(&[(0x82, &vec![0; 70_001])], std::slice::from_ref(&refused));
    let part = vec![0; 35_000];
    expect(&[(0x02, &part), (0x80, &part)], &[Binary(vec![0; 70_000], true)]);
    let beyond = [(0x02, &part[..]), (0x00, &part), (0x80, b"x")];
    expect(&beyond, &[Binary(vec![0; 70_000], false), refused]);
    let fragments = [(0x02, &b""[..]), (0, b""), (0, b""), (0, b""), (0, b""), (0x80, b"")];
    expect(&fragments, &[Refused(Violation::TooManyFragments { limit: 5 })]);
    expect(&fragments[1..], &[Refused(Violation::Continuation)]);
    let five = [(0x02, &b""[..]), (0, b""), (0, b""), (0, b""), (0x80, b"x")];
    expect(&five, &[Binary(b"x".to_vec(), true)]);
}

#[test]
fn a_close_says_why_and_nothing_is_read_behind_it() {
    let closed = |payload: &[u8]| [Heard::Close(Close::parse(payload).unwrap())];
    expect(&[(0x88, b""), (0x81, b"late")], &closed(b""));
    let with_words = b"\x03\xe8\xce\xba";
    expect(&[(0x88, with_words), (0xff, b"late")], &closed(with_words));
    for code in [1000u16, 1003, 1007, 1014, 3000, 4999] {
        expect(&[(0x88, &code.to_be_bytes())], &closed(&code.to_be_bytes()));
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        expect(&[(0x88, &code.to_be_bytes())], &[Refused(Violation::BadClose)]);
    }
    expect(&[(0x88, b"\x03")], &[Refused(Violation::BadClose)]);
    expect(&[(0x88, b"\x03\xe8\xff")], &[Refused(Violation::NotUtf8)]);
}

#[test]
fn a_mask_is_a_client_s_and_only_a_client_s() {
    let masked = frame(0x81, b"a", Some([1, 2, 3, 4]));
    let plain = frame(0x81, b"a", None);
    let client = || Codec::client(limits(), || 7);
    assert_eq!(run(client(), &[&masked]), [Refused(Violation::Masked)]);
    assert_eq!(run(Codec::server(limits()), &[&plain]), [Refused(Violation::Unmasked)]);
}

#[test]
fn a_length_takes_as_few_bytes_as_it_can() {
    for head in [
        &[0x82, 126, 0, 125][..],
        &[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255],
        &[0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let codec = || Codec::client(Limits { message: u64::MAX, ..limits() }, || 7);
        assert_eq!(run(codec(), &[head]), [Refused(Violation::Length)], "{head:?}");
        let bytes: Vec<_> = head.chunks(1).collect();
        assert_eq!(run(codec(), &bytes), [Refused(Violation::Length)], "{head:?}");
    }
}

#[test]
fn an_end_without_a_close_is_told() {
    assert_eq!(Codec::server(limits()).end(), Some(Violation::Truncated));
    let mut codec = Codec::client(limits(), || 7);
    assert!(codec.feed(&mut &mut [0x88, 0][..]).is_some());
    assert!(codec.has_ended() && codec.end().is_none());
}

#[test]
fn what_one_end_sends_the_other_hears() {
    let mut keys = 0x1234_5678u32;
    let masks = move || {
        keys = keys.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        keys
    };
    for (mut from, to) in [
        (Codec::client(limits(), masks), Codec::server(limits())),
        (Codec::server(limits()), Codec::client(limits(), || 7)),
    ] {
        let mut out = Vec::new();
        let long = "κ".repeat(20_000);
        from.send_text(&long, &mut out).unwrap();
        from.send_binary_fragment([1, 2], false, &mut out).unwrap();
        assert_eq!(from.send_text("x", &mut out), Err(SendError::Interleaved));
        from.ping(b"between", &mut out).unwrap();
        from.send_binary_fragment([3], true, &mut out).unwrap();
        from.pong(&[9; 125], &mut out).unwrap();
        assert_eq!(from.pong(&[9; 126], &mut out), Err(SendError::TooLong));
        let words = "w".repeat(124);
        let close = from.close(Some((CloseCode::NORMAL, &words)), &mut out);
        assert_eq!(close, Err(SendError::TooLong));
        from.close(Some((CloseCode::NORMAL, &words[1..])), &mut out).unwrap();
        assert_eq!(from.send_text("late", &mut out), Err(SendError::Closed));
        assert_eq!(from.ping(b"", &mut out), Err(SendError::Closed));
        let expected = [
            text(&long),
            Binary(vec![1, 2], false),
            Ping(b"between".to_vec()),
            Binary(vec![3], true),
            Pong(vec![9; 125]),
            Heard::Close(Close::parse(&[b"\x03\xe8", &words.as_bytes()[1..]].concat()).unwrap()),
        ];
        assert_eq!(run(to, &[&out]), expected);
    }
}

#[test]
fn no_bytes_make_a_panic_or_depend_on_how_they_are_cut() {
    let mut state = 1u64;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let payloads: [&[u8]; 6] = [b"", b"a", "κόσμε".as_bytes(), b"\xff", b"\x03\xe8bye", &[0; 130]];
    for _ in 0..20_000 {
        let key = [None, Some([1, 2, 3, 4])][next() % 2];
        let codec = || match key {
            Some(_) => Codec::server(limits()),
            None => Codec::client(limits(), || 7),
        };
        let mut sent = Vec::new();
        for _ in 0..next() % 6 {
            let first =
                [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88, next() as u8][next() % 10];
            sent.extend(frame(first, payloads[next() % payloads.len()], key));
        }
        for _ in 0..next() % 3 {
            let at = next() % (sent.len() + 1);
            if let Some(byte) = sent.get_mut(at) {
                *byte = next() as u8;
            }
        }
        let whole = run(codec(), &[&sent]);
        let most = next() % 20 + 1;
        assert_eq!(run(codec(), &sent.chunks(most).collect::<Vec<_>>()), whole, "{sent:x?}");
    }
}
