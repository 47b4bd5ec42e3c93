//! Ten thousand connections come and go, and nothing stays.

use super::kit::{
    FACES, Notes, Peer, Role, alone_and_well, census, descriptors, hear_reports, serve, turn, until,
};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::Reactor;

const BATCH: usize = 200;
const BATCHES: usize = 50;

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    alone_and_well("many::ten_thousand_connections_leave_nothing_behind", || {
        for face in FACES {
            let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
            let server = serve(face, &reactor, Role::Echo);
            let before = (descriptors(), census(&reactor));
            for _ in 0..BATCHES {
                let mut peers: Vec<_> = (0..BATCH).map(|_| Peer::call(&server.port)).collect();
                peers.iter_mut().for_each(|peer| peer.send(b"used"));
                peers.iter_mut().for_each(|peer| peer.until_heard(&reactor, b"used"));
                for (number, peer) in peers.into_iter().enumerate() {
                    match number % 3 {
                        0 => peer.reset(),
                        1 => peer.half_close(),
                        _ => {}
                    }
                }
                until(&reactor, "all are gone", || census(&reactor) == before.1);
                server.transports.borrow_mut().clear();
            }
            assert_eq!((descriptors(), census(&reactor)), before, "{face:?}");
            assert_eq!(server.ends.len(), BATCH * BATCHES);
            reports.expect(&[]);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_calls_leave_nothing_behind() {
    alone_and_well("many::ten_thousand_calls_leave_nothing_behind", || {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(FACES[1], &reactor, Role::Echo);
        let before = (descriptors(), census(&reactor));
        for _ in 0..BATCHES {
            let answers = Notes::default();
            for number in 0..BATCH {
                let notes = answers.clone();
                let opening = reactor.open(server.port.host());
                let call = reactor.spawn(async move {
                    let mut stream = opening.await?;
                    stream.write_all(b"used").await?;
                    let mut answer = [0; 4];
                    stream.read_exact(&mut answer).await?;
                    notes.add(String::from_utf8_lossy(&answer));
                    if number % 2 == 0 {
                        stream.transport().abort_connection();
                    }
                    Ok(())
                });
                drop(call);
            }
            until(&reactor, "all are gone", || {
                answers.len() == BATCH && census(&reactor) == before.1
            });
            server.transports.borrow_mut().clear();
        }
        turn(&reactor);
        assert_eq!((descriptors(), census(&reactor)), before);
        assert!(reactor.delayed_calls().is_empty());
        reports.expect(&[]);
    });
}
