//! Our own `wasi:io/poll`: a guest that waits for what isn't ready at once has a fault.
//!
//! wasmtime-wasi's own poll waits in the host, where neither fuel nor epochs see anything: a guest
//! could sleep for an hour and hold its slot's thread all that time.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sync::io::poll as sync_poll;
use wasmtime_wasi_io::bindings::wasi::io::poll as async_poll;
use wasmtime_wasi_io::poll::DynPollable;

use crate::sandbox::fault::{FaultReason, refuse};
use crate::sandbox::host::GuestState;

/// The resources of a store, polled without waiting.
struct AtOnce<'a>(&'a mut ResourceTable);

/// What a future gives without waiting.
fn at_once<T>(future: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(refuse(
            FaultReason::WouldBlock,
            "waited for something that is not ready at once; a guest can't sleep or wait",
        )),
    }
}

impl sync_poll::Host for AtOnce<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        at_once(async_poll::Host::poll(self.0, pollables))
    }
}

impl sync_poll::HostPollable for AtOnce<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        at_once(async_poll::HostPollable::ready(self.0, pollable))
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        at_once(async_poll::HostPollable::block(self.0, pollable))
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        async_poll::HostPollable::drop(self.0, pollable)
    }
}

struct HasAtOnce;

impl HasData for HasAtOnce {
    type Data<'a> = AtOnce<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    sync_poll::add_to_linker::<GuestState, HasAtOnce>(linker, |state| {
        state.count_host_call();
        AtOnce(&mut state.table)
    })
}
