//! The life of a connection as a table: which state follows from what happens, and what is to be done.
//!
//! ```text
//!                        Lose              Notified(true)         Heard
//!    Open(read, write) ───────► Losing ───────────────► Lingering ──────► Lost
//!      │        │                 │                         │              ▲
//!      │        │ Fail, Abort,    │ Fail, Abort,            │ Fail, Abort  │
//!      │        │ lost writes     │ WriteFailed             ▼              │ Advance
//!      │        └─────────────────┴────────────────────► Failed ───────────┤
//!      │ both halves ended, Notified(true)                                 │
//!      └───────────────────────────────────────────────────────────────────┘
//!
//!    read:   Open ◄─── Pause, Resume ───► Paused        Open, Paused ── PeerEnded ──► Ended
//!    write:  Open ── LoseWrite ──► Ending ── Advance, all sent ──► Ended
//!            Open, Ending, Ended ── WriteFailed ──► Broken ── WriterTold ──► Told
//! ```
//! Once a write has failed, what the peer sent before is heard out: until nothing of its is there
//! (`HeardAll`) or it ends. Only who wants bytes hears it out; a connection with any other reader fails at once.
//!
//! # Theory
//! What the connection finds when it looks (whether all is sent, whether the layer has said its last) is a
//! condition that may change back, and so part of the event that tells of the look. What comes of an
//! action is an event again: the state is set first, then the action is done.
//!
//! # Invariants
//! * `Lost` is entered once, with `End`, which no other move has, and never left.
//! * A half that is over does not open again.

/// What the application and the peer made of a connection so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum State {
    Open(Read, Write),
    /// To be ended in order once all is sent; nothing is read any more.
    Losing,
    /// All is sent, and the peer is heard out.
    Lingering,
    /// To be ended at the next look. `resets`: the close discards everything and resets the connection.
    Failed {
        resets: bool,
    },
    /// `heard_end`: readers find the peer's end, not the reason of the loss.
    Lost {
        heard_end: bool,
    },
}

/// The peer's half of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Read {
    Open,
    /// The face wants no bytes for now.
    Paused,
    /// The peer ended it, and the face was told.
    Ended,
}

/// This end's half of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Write {
    Open,
    /// To be ended once all was sent.
    Ending,
    Ended,
    /// A write has failed, and nobody was told.
    Broken,
    /// A write has failed, and who writes to the stream was told: who reads from it goes on.
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// This end wishes for the end in order, of the whole or of its half.
    Lose,
    LoseWrite,
    /// It cannot go on; or shall be cut off.
    Fail,
    Abort,
    Pause,
    Resume,
    PeerEnded,
    /// Nothing is left to read for now, or nobody reads.
    HeardAll,
    WriteFailed,
    /// A task that writes was told that a write failed.
    WriterTold,
    /// The loop looks. `sent`: all was sent, and no producer has more.
    Advance {
        sent: bool,
    },
    /// Whether the layer has said what it has to say before an end in order.
    Notified(bool),
    /// The peer was heard out, or its time is over, or it has nothing to say.
    Heard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    /// Have the loop look.
    Advance,
    TellReadClosed,
    /// Keep the reason of a failed write, and hear the peer out.
    HearOut,
    /// Discard what waits to be sent; the loop looks.
    Discard,
    ShutdownWrite,
    TellMarks,
    /// Have the layer say its last; `Notified` is what comes of it.
    Notify,
    /// Wait for a peer that does not take what was written, for so long only.
    WatchClose,
    /// End the write half and drop what the peer still says, if it may have more to say.
    Linger,
    Drain,
    /// Close the stream and tell everybody.
    End {
        resets: bool,
    },
}

impl State {
    pub(super) const NEW: State = State::Open(Read::Open, Write::Open);

    /// The state after an event, and what to do then.
    pub(super) fn next(self, event: Event) -> (State, Action) {
        use State::{Failed, Lingering, Losing, Lost, Open};
        const FAILED: State = State::Failed { resets: false };
        const LOST: State = State::Lost { heard_end: false };
        const END: Action = Action::End { resets: false };
        match (self, event) {
            (Lost { .. }, _) => (self, Action::Nothing),
            (Failed { .. }, Event::Abort) => (Failed { resets: true }, Action::Advance),
            (Failed { resets }, Event::Advance { .. }) => (LOST, Action::End { resets }),
            (Failed { .. }, _) => (self, Action::Nothing),
            (_, Event::Abort) => (Failed { resets: true }, Action::Discard),
            (_, Event::Fail) => (FAILED, Action::Discard),
            (Open(read, write), event) => State::next_of_open(read, write, event),
            (_, Event::WriteFailed) => (FAILED, Action::Discard),
            (Losing, Event::Advance { sent: true }) => (self, Action::Notify),
            (Losing, Event::Advance { sent: false } | Event::Notified(false)) => {
                (self, Action::WatchClose)
            }
            (Losing, Event::Notified(true)) => (Lingering, Action::Linger),
            (Lingering, Event::Advance { .. }) => (self, Action::Drain),
            (Lingering, Event::Heard) => (LOST, END),
            (Losing | Lingering, _) => (self, Action::Nothing),
        }
    }

    fn next_of_open(read: Read, write: Write, event: Event) -> (State, Action) {
        use State::Open;
        let is_broken = matches!(write, Write::Broken | Write::Told);
        let failed = (State::Failed { resets: false }, Action::Discard);
        match (read, write, event) {
            // There is nothing to be saved.
            (_, _, Event::Lose) if is_broken => failed,
            (_, _, Event::Lose) => (State::Losing, Action::Advance),
            (_, Write::Open, Event::LoseWrite) => (Open(read, Write::Ending), Action::Advance),
            (Read::Open, _, Event::Pause) => (Open(Read::Paused, write), Action::Nothing),
            (Read::Paused, _, Event::Resume) => (Open(Read::Open, write), Action::Nothing),
            // The peer's last bytes were all that was left to hear.
            (Read::Open | Read::Paused, Write::Broken, Event::PeerEnded) => failed,
            (_, Write::Broken, Event::HeardAll) => failed,
            (Read::Open | Read::Paused, _, Event::PeerEnded) => {
                (Open(Read::Ended, write), Action::TellReadClosed)
            }
            (Read::Open, _, Event::WriteFailed) if !is_broken => {
                (Open(read, Write::Broken), Action::HearOut)
            }
            (_, _, Event::WriteFailed) if !is_broken => failed,
            (_, Write::Broken, Event::WriterTold) => (Open(read, Write::Told), Action::Nothing),
            (_, Write::Ending, Event::Advance { sent: true }) => {
                (Open(read, Write::Ended), Action::ShutdownWrite)
            }
            (Read::Ended, Write::Ended | Write::Broken | Write::Told, Event::Advance { .. }) => {
                (Open(read, write), Action::Notify)
            }
            (Read::Ended, Write::Ended | Write::Broken | Write::Told, Event::Notified(true)) => {
                (State::Lost { heard_end: true }, Action::End { resets: false })
            }
            (_, _, Event::Advance { .. } | Event::Notified(false)) => {
                (Open(read, write), Action::TellMarks)
            }
            _ => (Open(read, write), Action::Nothing),
        }
    }

    /// What it is called where a connection is looked at.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Open(_, Write::Broken | Write::Told) => "failed",
            State::Open(Read::Ended, _) => "read closed",
            State::Open(_, Write::Ending | Write::Ended) => "write closed",
            State::Open(Read::Paused, _) => "paused",
            State::Open(..) => "open",
            State::Losing | State::Lingering => "losing",
            State::Failed { .. } => "failed",
            State::Lost { .. } => "lost",
        }
    }

    pub(super) fn is_open(self) -> bool {
        matches!(self, State::Open(..))
    }

    pub(super) fn is_lost(self) -> bool {
        matches!(self, State::Lost { .. })
    }

    /// Whether bytes of the peer's are wanted now.
    pub(super) fn reads(self) -> bool {
        matches!(self, State::Open(Read::Open, _))
    }

    /// Whether they are not wanted for now only.
    pub(super) fn is_paused(self) -> bool {
        matches!(self, State::Open(Read::Paused, _))
    }

    /// Whether a reader finds the peer's end.
    pub(super) fn has_read_ended(self) -> bool {
        matches!(self, State::Open(Read::Ended, _) | State::Lost { heard_end: true })
    }

    /// Whether the application may write.
    pub(super) fn takes_writes(self) -> bool {
        matches!(self, State::Open(_, Write::Open))
    }

    /// Whether what was written is still to be sent.
    pub(super) fn sends(self) -> bool {
        matches!(self, State::Open(_, Write::Open | Write::Ending) | State::Losing)
    }

    /// Whether this end's half was ended, or broke, before the whole.
    pub(super) fn has_write_ended(self) -> bool {
        matches!(self, State::Open(_, Write::Ended | Write::Broken | Write::Told))
    }

    pub(super) fn has_write_failed(self) -> bool {
        matches!(self, State::Open(_, Write::Broken | Write::Told))
    }

    /// Whether a write has failed, and nobody was told yet.
    pub(super) fn hears_out(self) -> bool {
        matches!(self, State::Open(_, Write::Broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;

    const EVENTS: [Event; 15] = [
        Event::Lose,
        Event::LoseWrite,
        Event::Fail,
        Event::Abort,
        Event::Pause,
        Event::Resume,
        Event::PeerEnded,
        Event::HeardAll,
        Event::WriteFailed,
        Event::WriterTold,
        Event::Advance { sent: false },
        Event::Advance { sent: true },
        Event::Notified(false),
        Event::Notified(true),
        Event::Heard,
    ];

    fn reachable() -> BTreeSet<State> {
        let mut seen = BTreeSet::from([State::NEW]);
        let mut left = vec![State::NEW];
        while let Some(state) = left.pop() {
            let next = EVENTS.map(|event| state.next(event).0);
            left.extend(next.into_iter().filter(|&state| seen.insert(state)));
        }
        seen
    }

    /// Each move that changes the state or asks for something.
    fn moves() -> impl Iterator<Item = (State, Event, State, Action)> {
        reachable().into_iter().flat_map(|state| {
            let moved = EVENTS.map(|event| (event, state.next(event)));
            let told = moved.into_iter().map(move |(event, (next, act))| (state, event, next, act));
            told.filter(|&(state, _, next, act)| state != next || act != Action::Nothing)
        })
    }

    #[test]
    fn a_connection_has_so_many_states_in_two_bytes() {
        // Each half alone in all its states, but what the peer ended is not waited for by a failed write
        // that nobody was told of; losing, lingering, failed and lost, the last two in two kinds each.
        assert_eq!(reachable().len(), 3 * 5 - 1 + 2 + 2 + 2);
        assert_eq!(size_of::<State>(), 2);
    }

    #[test]
    fn the_end_comes_on_entering_lost_and_only_then_and_is_never_left() {
        for (state, event, next, action) in moves() {
            assert!(!state.is_lost(), "{state:?} is left by {event:?}");
            let is_end = matches!(action, Action::End { .. });
            assert_eq!(is_end, next.is_lost(), "{state:?} {event:?}");
        }
    }

    #[test]
    fn a_failure_and_a_look_end_a_connection_in_any_state() {
        for state in reachable().into_iter().filter(|state| !state.is_lost()) {
            for (event, resets) in [(Event::Fail, false), (Event::Abort, true)] {
                let was_reset = state == State::Failed { resets: true };
                let (failed, _) = state.next(event);
                let ended = failed.next(Event::Advance { sent: true });
                let expected = Action::End { resets: resets || was_reset };
                assert_eq!(ended, (State::Lost { heard_end: false }, expected), "{state:?}");
            }
        }
    }

    #[test]
    fn an_end_in_order_comes_from_any_state_when_all_is_sent_said_and_heard() {
        let found =
            [Event::Advance { sent: true }, Event::Notified(true), Event::PeerEnded, Event::Heard];
        for mut state in reachable() {
            state = state.next(Event::Lose).0;
            for _ in 0..3 {
                state = found.into_iter().fold(state, |state, event| state.next(event).0);
            }
            assert!(state.is_lost(), "{state:?}");
        }
    }

    #[test]
    fn a_half_that_is_over_does_not_open_again() {
        for (state, event, next, _) in moves() {
            if let State::Open(_, next_write) = next {
                let State::Open(_, write) = state else { panic!("{state:?} opens by {event:?}") };
                assert!(next_write >= write, "{state:?} by {event:?}");
            }
            let was_over = state.has_read_ended() && state.is_open();
            assert!(!was_over || !(next.reads() || next.is_paused()), "{state:?} by {event:?}");
        }
    }

    #[test]
    fn what_an_action_finds_does_not_ask_for_the_same_again() {
        for (state, event, next, action) in moves() {
            let found: &[Event] = match action {
                Action::Notify => &[Event::Notified(false), Event::Notified(true)],
                Action::Linger | Action::Drain => &[Event::Heard],
                _ => continue,
            };
            for &event in found {
                let (_, then) = next.next(event);
                assert_ne!(then, action, "{state:?}");
                assert_ne!(then, Action::Nothing, "{next:?} knows nothing of {event:?}");
            }
            assert_ne!(next, State::Lost { heard_end: false }, "{state:?} by {event:?}");
        }
    }

    #[test]
    fn a_write_that_fails_is_heard_out_only_by_who_reads() {
        for (state, _, next, action) in
            moves().filter(|(_, event, ..)| *event == Event::WriteFailed)
        {
            assert_eq!(action == Action::HearOut, state.reads(), "{state:?}");
            assert_eq!(next.hears_out(), state.reads(), "{state:?}");
            assert!(!next.sends());
        }
    }

    /// All moves in one text: what changes is seen in the change.
    #[test]
    fn the_table_is_this() {
        let mut table: BTreeMap<State, String> = BTreeMap::new();
        for (state, event, next, action) in moves() {
            let line = table.entry(state).or_default();
            let next = if next == state { "stays".into() } else { format!("{next:?}") };
            write!(line, "\n    {event:?}: {next}, {action:?}").expect("a string takes it");
        }
        let mut text = String::new();
        for (state, moves) in table {
            writeln!(text, "{state:?}{moves}").expect("a string takes it");
        }
        assert_eq!(text, include_str!("state.txt"));
    }
}
