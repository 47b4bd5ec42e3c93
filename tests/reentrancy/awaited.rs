//! Protocols whose handlers are awaited, as sites.

use super::cast::{Guest, OWN, Recorder, here};
use super::table::{Moment, Site};
use super::world::World;
use ropewalk::awaited::{AsyncDatagramProtocol, AsyncProtocol, Awaited, AwaitedDatagrams};
use ropewalk::net::DatagramTransport;
use ropewalk::{Address, Failure, Port, Result, Transport};
use std::future::pending;
use std::net::UdpSocket;

struct AsyncRecorder(Recorder);

impl AsyncRecorder {
    fn enter(&self, moment: Moment) {
        self.0.enter(Site::Awaited(moment));
    }

    fn is(&self, moment: Moment) -> bool {
        self.0.site == Some(Site::Awaited(moment))
    }
}

impl AsyncProtocol for AsyncRecorder {
    async fn connection_made(&mut self, transport: &Transport) -> Result {
        OWN.set(Some(transport.clone()));
        self.enter(Moment::Made);
        Ok(())
    }

    async fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        if self.is(Moment::WriteClosed) {
            transport.lose_write_connection();
        }
        if self.is(Moment::HandlerDrop) {
            transport.abort_connection();
            let guest = Guest;
            pending::<()>().await;
            drop(guest);
        }
        self.enter(Moment::Received);
        transport.reactor().yield_now().await;
        self.enter(Moment::AfterWait);
        Ok(())
    }

    async fn read_closed(&mut self, transport: &Transport) -> Result {
        self.enter(Moment::ReadClosed);
        transport.lose_connection();
        Ok(())
    }

    async fn write_closed(&mut self, _: &Transport) -> Result {
        self.enter(Moment::WriteClosed);
        Ok(())
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.enter(Moment::Lost);
        self.0.note_loss();
    }
}

pub(crate) fn listen(site: Site, world: &World) -> Port {
    let ledger = world.ledger.clone();
    let build = move |_: &Address| Awaited::new(AsyncRecorder(Recorder::new(Some(site), &ledger)));
    world.reactor.listen("127.0.0.1:0", build).unwrap()
}

struct AsyncDatagrams(Moment);

impl AsyncDatagramProtocol for AsyncDatagrams {
    async fn datagram_received(
        &mut self,
        transport: &DatagramTransport,
        _: &[u8],
        _: &Address,
    ) -> Result {
        if self.0 == Moment::Datagram {
            transport.reactor().yield_now().await;
            here();
            return Ok(());
        }
        let (guest, closing) = (Guest, transport.clone());
        transport.reactor().call_when_running(move || drop(closing.stop_listening()));
        pending::<()>().await;
        drop(guest);
        Ok(())
    }
}

/// A socket that a datagram has come to; it is of no connection, and the deeds have other things to do.
pub(crate) fn hear_a_datagram(moment: Moment, world: &World) {
    let heard = AwaitedDatagrams::new(AsyncDatagrams(moment));
    let transport = world.reactor.listen_udp("127.0.0.1:0", heard).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"go", transport.host().to_string()).unwrap();
}
