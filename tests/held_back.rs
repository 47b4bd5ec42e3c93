//! Bytes that a layer of this end's holds back: that time is not the peer's.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::driver::{ByteStream, Layer};
use ropewalk::forward_byte_stream;
use ropewalk::policies::{self, IdleTimeout, Policy, Throttle};
use ropewalk::simulation::{Host, Link, Simulation};
use ropewalk::{Address, Failure, Protocol, Reactor, Result, Stream, Transport};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IoSlice};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A server's side of a connection: says so many bytes, and ends in order.
#[derive(Clone)]
struct Says {
    bytes: usize,
    /// Why each ended that was told.
    ends: Rc<RefCell<Vec<String>>>,
}

impl Says {
    fn bytes(bytes: usize) -> Says {
        Says { bytes, ends: Rc::default() }
    }
}

impl Protocol for Says {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(vec![b'x'; self.bytes]);
        transport.lose_connection();
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.ends.borrow_mut().push(reason.to_string());
    }
}

async fn says(mut stream: Stream, bytes: usize) -> Result {
    stream.write_all(&vec![b'x'; bytes]).await?;
    Ok(())
}

fn hosts(seed: u64) -> (Simulation, Host, Host) {
    let simulation = Simulation::new(seed);
    simulation.set_limit(Duration::from_secs(24 * 3600));
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    (simulation, server, client)
}

fn rate(bytes_per_second: u32) -> NonZeroU32 {
    NonZeroU32::new(bytes_per_second).unwrap()
}

/// Reads to the end: how many bytes, and what went wrong.
async fn heard(reactor: &Reactor, at: &str) -> (usize, Option<ErrorKind>) {
    let mut stream = match reactor.open(at).await {
        Ok(stream) => stream,
        Err(failure) => panic!("{failure}"),
    };
    let mut bytes = Vec::new();
    let outcome = stream.read_to_end(&mut bytes).await;
    (bytes.len(), outcome.err().map(|error| error.kind()))
}

/// Listens at port 1 with a protocol and at port 2 with a handler, each under its own policy.
fn both<P: Policy + Clone + 'static>(
    server: &Host,
    says_so: &Says,
    policy: impl Fn() -> P,
) -> Result {
    let (pushed, bytes) = (says_so.clone(), says_so.bytes);
    let factory = policies::factory(policy(), move |_: &Address| pushed.clone());
    server.reactor().listen("0.0.0.0:1", factory)?;
    let handler = policies::handler(policy(), async move |stream| says(stream, bytes).await);
    server.reactor().serve("0.0.0.0:2", handler)?;
    Ok(())
}

const FACES: [&str; 2] = ["server:1", "server:2"];

#[test]
fn three_hundred_ends_that_a_shared_throttle_holds_back_lose_nothing() {
    for at in FACES {
        let (simulation, server, client) = hosts(1);
        let says = Says::bytes(500);
        both(&server, &says, || Throttle::new().writing(rate(1000))).unwrap();
        let all: Vec<_> = (0..300)
            .map(|_| {
                let reactor = client.reactor();
                client.reactor().spawn(async move { Ok(heard(&reactor, at).await) })
            })
            .collect();
        for one in all {
            assert_eq!(simulation.run_until(one).unwrap(), (500, None));
        }
        let seconds = simulation.time().as_secs();
        assert!((140..170).contains(&seconds), "150 000 bytes at 1000 a second in {seconds} s");
        assert!(says.ends.borrow().iter().all(|end| !end.contains("took no byte")));
    }
}

#[test]
fn a_throttle_is_shared_in_rounds_and_who_wants_much_waits_for_no_one_else() {
    let (simulation, server, client) = hosts(1);
    let throttle = Throttle::new().writing(rate(10_000));
    let greedy = policies::handler(throttle.clone(), async |stream| says(stream, 40_000).await);
    server.reactor().serve("0.0.0.0:1", greedy).unwrap();
    let modest = policies::handler(throttle, async |stream| says(stream, 2000).await);
    server.reactor().serve("0.0.0.0:2", modest).unwrap();
    let order = Rc::new(RefCell::new(Vec::new()));
    let ask = |at: &'static str| {
        let (reactor, order) = (client.reactor(), order.clone());
        client.reactor().spawn(async move {
            let (count, error) = heard(&reactor, at).await;
            order.borrow_mut().push(count);
            Ok(error)
        })
    };
    let mut all = vec![ask("server:1")];
    simulation.run_for(Duration::from_millis(500)).unwrap();
    all.extend((0..5).map(|_| ask("server:2")));
    for one in all {
        assert_eq!(simulation.run_until(one).unwrap(), None);
    }
    assert_eq!(*order.borrow(), [2000, 2000, 2000, 2000, 2000, 40_000]);
}

#[test]
fn many_who_want_the_same_get_it_at_about_the_same_time() {
    let (simulation, server, client) = hosts(1);
    let throttle = Throttle::new().writing(rate(10_000));
    let handler = policies::handler(throttle, async |stream| says(stream, 10_000).await);
    server.reactor().serve("0.0.0.0:1", handler).unwrap();
    let heard_by: Rc<[Cell<usize>; 10]> = Rc::default();
    for number in 0..10 {
        let (reactor, heard_by) = (client.reactor(), heard_by.clone());
        drop(client.reactor().spawn(async move {
            let mut stream = reactor.open("server:1").await?;
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer).await? {
                    0 => return Ok(()),
                    count => heard_by[number].set(heard_by[number].get() + count),
                }
            }
        }));
    }
    simulation.run_for(Duration::from_secs(5)).unwrap();
    let heard_by: Vec<_> = heard_by.iter().map(Cell::get).collect();
    let (least, most) = (heard_by.iter().min().unwrap(), heard_by.iter().max().unwrap());
    assert!(*least > 0 && most - least <= 2000, "{heard_by:?}");
}

#[test]
fn a_peer_that_takes_nothing_is_cut_off_under_a_throttle_too() {
    let (simulation, server, client) = hosts(1);
    simulation.set_link(&client, &server, Link::new().window(4096));
    let says = Says::bytes(100_000);
    both(&server, &says, || Throttle::new().writing(rate(50_000))).unwrap();
    let reactor = client.reactor();
    let opening = client.reactor().spawn(async move {
        let deaf = reactor.open("server:1").await?;
        reactor.sleep(Duration::from_secs(200)).await;
        drop(deaf);
        Ok(())
    });
    simulation.run_for(Duration::from_secs(150)).unwrap();
    let ends = says.ends.borrow().clone();
    assert!(ends.len() == 1 && ends[0].contains("took no byte for 60s"), "{ends:?}");
    simulation.run_until(opening).unwrap();
}

#[test]
fn a_crashed_host_leaves_the_throttle_to_the_others_of_its_thread() {
    let (simulation, server, client) = hosts(1);
    let other = simulation.host("other");
    let throttle = Throttle::new().writing(rate(1000));
    for host in [&other, &server] {
        let handler = policies::handler(throttle.clone(), async |stream| says(stream, 600).await);
        host.reactor().serve("0.0.0.0:1", handler).unwrap();
    }
    let ask = |at: &'static str| {
        let reactor = client.reactor();
        client.reactor().spawn(async move { Ok(heard(&reactor, at).await) })
    };
    let cut_off = ask("other:1");
    simulation.run_for(Duration::from_millis(150)).unwrap();
    let served = ask("server:1");
    simulation.run_for(Duration::from_millis(10)).unwrap();
    other.crash();
    assert_eq!(simulation.run_until(served).unwrap(), (600, None));
    drop(cut_off);
}

/// A layer of the user's that lets nothing out before a time.
struct Late {
    below: Box<dyn ByteStream>,
    transport: Transport,
    opens: Instant,
    /// Takes bytes meanwhile, and keeps them.
    keeps: bool,
    kept: Vec<u8>,
}

impl Late {
    fn may(&self) -> io::Result<()> {
        match self.transport.reactor().now() < self.opens {
            true => Err(ErrorKind::WouldBlock.into()),
            false => Ok(()),
        }
    }
}

impl ByteStream for Late {
    forward_byte_stream!(self.below: all except write, write_vectored, as_layer);

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.keeps {
            self.kept.extend_from_slice(data);
            return Ok(data.len());
        }
        self.may()?;
        self.below.write(data)
    }
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(slices.first().map_or(&[], |slice| slice))
    }
    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        if self.keeps { Some(self) } else { None }
    }
}

impl Layer for Late {
    fn flush(&mut self) -> io::Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        self.may()?;
        let count = self.below.write(&self.kept)?;
        self.kept.drain(..count);
        match self.kept.is_empty() {
            true => Ok(()),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }
    fn close_notify(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Puts such a layer on each connection.
#[derive(Clone, Copy)]
struct Lateness {
    by: Duration,
    keeps: bool,
}

impl Policy for Lateness {
    type Pass = ();

    fn admit(&self, _: &Address) -> Option<()> {
        Some(())
    }

    fn apply(&self, transport: &Transport) -> Result {
        let (layered, opens) = (transport.clone(), transport.reactor().now() + self.by);
        let keeps = self.keeps;
        transport.replace_stream(move |below| {
            Box::new(Late { below, transport: layered, opens, keeps, kept: Vec::new() })
        })
    }
}

fn lateness_loses_nothing(keeps: bool) {
    for at in FACES {
        let (simulation, server, client) = hosts(1);
        let says = Says::bytes(3000);
        both(&server, &says, || Lateness { by: Duration::from_secs(100), keeps }).unwrap();
        let reactor = client.reactor();
        let one = client.reactor().spawn(async move { Ok(heard(&reactor, at).await) });
        assert_eq!(simulation.run_until(one).unwrap(), (3000, None));
    }
}

#[test]
fn a_layer_of_the_users_that_takes_nothing_for_long_is_waited_for() {
    lateness_loses_nothing(false);
}

#[test]
fn a_layer_of_the_users_that_keeps_what_it_took_for_long_is_waited_for() {
    lateness_loses_nothing(true);
}

/// Answers the first bytes, and ends in order though more of the peer's may come.
struct Curt;

impl Protocol for Curt {
    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        transport.write(vec![b'a'; 500]);
        transport.lose_connection();
        Ok(())
    }
}

async fn curt(mut stream: Stream) -> Result {
    stream.read_exact(&mut [0]).await?;
    stream.write_all(&[b'a'; 500]).await?;
    Ok(())
}

#[test]
fn what_a_throttle_did_not_let_in_yet_does_not_cost_the_peer_the_answer() {
    for (at, said) in FACES.map(|at| (at, 3000)).into_iter().chain(FACES.map(|at| (at, 40_000))) {
        let (simulation, server, client) = hosts(1);
        let slow = Throttle::new().reading(rate(1000));
        let factory = policies::factory(slow.clone(), |_: &Address| Curt);
        server.reactor().listen("0.0.0.0:1", factory).unwrap();
        server.reactor().serve("0.0.0.0:2", policies::handler(slow, curt)).unwrap();
        let reactor = client.reactor();
        let one = client.reactor().spawn(async move {
            let mut stream = reactor.open(at).await?;
            stream.write_all(&vec![b'q'; said]).await?;
            reactor.sleep(Duration::from_secs(15)).await;
            let mut bytes = Vec::new();
            let error = stream.read_to_end(&mut bytes).await.err().map(|error| error.kind());
            Ok((bytes.len(), error))
        });
        assert_eq!(simulation.run_until(one).unwrap(), (500, None), "{said} bytes to {at}");
    }
}

#[test]
fn a_peer_that_a_throttle_keeps_waiting_is_not_taken_for_silent() {
    for inner in [true, false] {
        let (simulation, server, client) = hosts(1);
        let (slow, idle) =
            (Throttle::new().writing(rate(1000)), IdleTimeout::new(Duration::from_secs(3)));
        // What is written after a loss is dropped.
        let in_pieces = async |mut stream: Stream| {
            for _ in 0..5 {
                stream.write_all(&[b'x'; 100]).await?;
                stream.flush().await?;
            }
            Ok(())
        };
        match inner {
            true => {
                let handler = policies::handler((idle, slow), in_pieces);
                server.reactor().serve("0.0.0.0:1", handler)
            }
            false => {
                let handler = policies::handler((slow, idle), in_pieces);
                server.reactor().serve("0.0.0.0:1", handler)
            }
        }
        .unwrap();
        let all: Vec<_> = (0..100)
            .map(|_| {
                let reactor = client.reactor();
                client.reactor().spawn(async move { Ok(heard(&reactor, "server:1").await) })
            })
            .collect();
        for one in all {
            assert_eq!(simulation.run_until(one).unwrap(), (500, None));
        }
    }
}

#[test]
fn a_peer_whose_bytes_a_throttle_does_not_let_in_is_not_taken_for_silent() {
    let (simulation, server, client) = hosts(1);
    let slow = Throttle::new().reading(rate(1000));
    let policy = (slow, IdleTimeout::new(Duration::from_secs(3)));
    let counts = async |mut stream: Stream| {
        let count = stream.read_to_end(&mut Vec::new()).await?;
        stream.write_all(count.to_string().as_bytes()).await?;
        Ok(())
    };
    server.reactor().serve("0.0.0.0:1", policies::handler(policy, counts)).unwrap();
    let all: Vec<_> = (0..100)
        .map(|_| {
            let reactor = client.reactor();
            client.reactor().spawn(async move {
                let mut stream = reactor.open("server:1").await?;
                stream.write_all(&[b'q'; 500]).await?;
                stream.close().await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await?;
                Ok(answer)
            })
        })
        .collect();
    for one in all {
        assert_eq!(simulation.run_until(one).unwrap(), "500");
    }
}

#[test]
fn a_peer_that_says_nothing_is_silent_under_a_throttle_too() {
    let (simulation, server, client) = hosts(1);
    let slow = Throttle::new().reading(rate(1000)).writing(rate(1000));
    let policy = (slow, IdleTimeout::new(Duration::from_secs(3)));
    server.reactor().serve("0.0.0.0:1", policies::handler(policy, curt)).unwrap();
    let reactor = client.reactor();
    let one = client.reactor().spawn(async move { Ok(heard(&reactor, "server:1").await) });
    assert_eq!(simulation.run_until(one).unwrap(), (0, None));
    assert!(simulation.time() < Duration::from_secs(10));
}

#[cfg(feature = "tls")]
#[test]
fn a_handshake_that_a_throttle_below_it_holds_back_has_its_time() {
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig, start_tls};
    let (simulation, server, client) = hosts(1);
    let identity = Identity::self_signed(&["10.0.0.1"]).unwrap();
    let trusting = ClientConfig::trusting(identity.certificate_pem());
    let config = ServerConfig::new(identity);
    // Some hundred bytes each way, at 20 a second: longer than a handshake may take.
    let slow = Throttle::new().reading(rate(20)).writing(rate(20));
    let handler = policies::handler(slow, async move |mut stream: Stream| {
        start_tls(&stream.transport(), &config).await?;
        stream.write_all(b"a secret").await?;
        Ok(())
    });
    server.reactor().serve("0.0.0.0:1", handler).unwrap();
    let reactor = client.reactor();
    let secret = client.reactor().spawn(async move {
        let mut stream = reactor.open("server:1").await?;
        let patient = trusting.handshake_timeout(Duration::from_secs(3600));
        start_tls(&stream.transport(), &patient).await?;
        let mut secret = Vec::new();
        stream.read_to_end(&mut secret).await?;
        Ok(secret)
    });
    assert_eq!(simulation.run_until(secret).unwrap(), b"a secret");
    assert!(simulation.time() > Duration::from_secs(20), "it was not slow");
}
