package org.kvm4j.kvm.module.irqchip;

import static org.kvm4j.kvm.uapi.Uapi.KVM_IRQCHIP_IOAPIC;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.uapi.KvmIrqRoutingEntry;

/**
 * The interrupt chips of a VM: the local APICs of its processors, and, unless the chip is a split
 * one, PICs, I/O APIC and PIT. One lock is for all of them; what has to be told to others is told
 * after it is free.
 *
 * <p>Source: Linux 6.1 KVM_CREATE_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP, kvm_set_irq, kvm_set_msi.
 */
public final class InterruptChips {
  /** Who holds up a pin: user space. */
  public static final int USER = 0;

  /** Interrupts of eventfds that are resampled. */
  public static final int RESAMPLED = 1;

  private static final int TIMER = 2;

  private final ReentrantLock lock = new ReentrantLock();
  private final List<Runnable> afterwards = new ArrayList<>();
  private final TimerQueue timers;
  private final ApicBus bus = new ApicBus();
  private final boolean split;
  private final int splitPins;
  private final PicPair pics;
  private final IoApic ioapic;
  private final EoiListener eoi;
  private volatile @Nullable Pit8254 pit;
  private RoutingTable routes;

  /** What waits for acknowledgements, by GSI. */
  private final List<AckListener> ackListeners = new CopyOnWriteArrayList<>();

  /** A GSI, and what to do when the guest acknowledges it, with the lock held. */
  private record AckListener(int gsi, Runnable action) {}

  private final PinListener pins =
      new PinListener() {
        @Override
        public void acknowledged(int chip, int pin) {
          acknowledgedGsi(routes.gsi(chip, pin));
        }

        @Override
        public void masked(int chip, int pin, boolean mask) {
          Pit8254 p = pit;
          if (p != null && !mask && routes.gsi(chip, pin) == 0) {
            p.unmasked();
          }
        }
      };

  private InterruptChips(TimerQueue timers, boolean split, int splitPins) {
    this.timers = timers;
    this.split = split;
    this.splitPins = splitPins;
    this.routes = split ? RoutingTable.EMPTY : RoutingTable.standard();
    this.pics = new PicPair(pins, () -> picTaker() != null, this::picRaised);
    this.ioapic = new IoApic(bus, pins, this::isWatched, timers);
    this.eoi = split ? new SplitEoi() : ioapic;
  }

  /** All chips in the kernel (KVM_CREATE_IRQCHIP). */
  public static InterruptChips whole(TimerQueue timers) {
    return new InterruptChips(timers, false, 0);
  }

  /**
   * Local APICs alone (KVM_CAP_SPLIT_IRQCHIP).
   *
   * @param pins GSIs below this are those of I/O APICs in user space
   */
  public static InterruptChips split(TimerQueue timers, int pins) {
    return new InterruptChips(timers, true, pins);
  }

  /** Whether PICs and I/O APIC are user space's. */
  public boolean isSplit() {
    return split;
  }

  // ---- the lock ----

  /** Takes the lock; not held for long. */
  public void lock() {
    lock.lock();
  }

  /** Gives the lock back, and does what was to be done then. */
  public void unlock() {
    List<Runnable> due = List.of();
    if (lock.getHoldCount() == 1 && !afterwards.isEmpty()) {
      due = List.copyOf(afterwards);
      afterwards.clear();
    }
    lock.unlock();
    for (Runnable r : due) {
      r.run();
    }
  }

  /** Has something done that may take other locks, once this one is free. */
  public void afterwards(Runnable r) {
    afterwards.add(r);
  }

  /** Lets every timer go off that is due. */
  public void expireTimers() {
    lock();
    try {
      timers.expire();
    } finally {
      unlock();
    }
  }

  public TimerQueue timers() {
    return timers;
  }

  // ---- processors ----

  /** A local APIC for a new processor, in the state after RESET. */
  public LocalApic addApic(int id, ApicOwner owner, boolean boot, boolean lint0) {
    lock();
    try {
      LocalApic apic = new LocalApic(id, owner, bus, eoi, timers, split);
      apic.reset(false, boot, lint0);
      bus.add(apic);
      return apic;
    } finally {
      unlock();
    }
  }

  public void removeApic(LocalApic apic) {
    lock();
    try {
      apic.close();
      ioapic.forget(apic);
    } finally {
      unlock();
    }
  }

  /**
   * KVM_CAP_X2APIC_API.
   *
   * @param wideIds whether messages and KVM_SET_LAPIC have 32-bit IDs
   * @param noQuirk whether destination 0xff is no broadcast to x2APICs
   */
  public void setX2apicApi(boolean wideIds, boolean noQuirk) {
    lock();
    try {
      bus.wideIds |= wideIds;
      bus.wideBroadcastOnly |= noQuirk;
    } finally {
      unlock();
    }
  }

  /** KVM_SET_LAPIC; false if the ID is not the processor's. */
  public boolean loadApic(LocalApic apic, ByteBuffer b) {
    lock();
    try {
      boolean ok = apic.load(b, 0);
      if (ok && !split) {
        ioapic.restoreRtc(apic);
      }
      return ok;
    } finally {
      unlock();
    }
  }

  // ---- the PIC's interrupts ----

  /** Whether the PICs have an interrupt for whoever takes theirs. Needs no lock. */
  public boolean picOutput() {
    return pics.output();
  }

  /** INTA: the vector of the PICs' interrupt. The lock is held. */
  public int acknowledgePic() {
    return pics.acknowledge();
  }

  private void picRaised() {
    LocalApic taker = picTaker();
    if (taker != null) {
      taker.owner().wake();
    }
  }

  private @Nullable LocalApic picTaker() {
    for (LocalApic a : bus.apics()) {
      if (a.acceptsPic()) {
        return a;
      }
    }
    return null;
  }

  // ---- lines and messages ----

  /**
   * A level at a GSI.
   *
   * @param source {@link #USER} or {@link #RESAMPLED}
   * @param status whether KVM_IRQ_LINE_STATUS asks
   * @return how many processors it went to; 0 if it was coalesced, -1 if it was ignored
   */
  public int setLine(int source, int gsi, boolean level, boolean status) {
    lock();
    try {
      return set(source, gsi, level, status);
    } finally {
      unlock();
    }
  }

  private int set(int source, int gsi, boolean level, boolean status) {
    int result = -1;
    for (Route r : routes.routes(gsi)) {
      int n = set(r, source, level, status);
      if (n >= 0) {
        result = Math.max(result, 0) + n;
      }
    }
    return result;
  }

  private int set(Route route, int source, boolean level, boolean status) {
    if (route instanceof Route.Message m) {
      return level && !m.isInvalid(bus.wideIds)
          ? bus.deliver(null, m.message(bus.wideIds), null)
          : -1;
    }
    Route.Pin p = (Route.Pin) route;
    if (p.chip() == KVM_IRQCHIP_IOAPIC) {
      return ioapic.set(p.pin(), source, level, status);
    }
    return pics.set(p.pin(), source, level);
  }

  /**
   * KVM_SIGNAL_MSI.
   *
   * @return to how many processors it went; -1 to none
   */
  public int signal(int addressLow, int addressHigh, int data) {
    lock();
    try {
      return bus.deliver(null, ApicMessage.msi(addressLow, addressHigh, data, bus.wideIds), null);
    } finally {
      unlock();
    }
  }

  /** KVM_HC_KICK_CPU: ends the HLT of a processor. */
  public void kick(int apicId) {
    lock();
    try {
      bus.deliver(null, ApicMessage.command(ApicMessage.REMOTE_READ << 8, apicId), null);
    } finally {
      unlock();
    }
  }

  /** Whose local APIC has a physical ID; null if nobody's. */
  public @Nullable ApicOwner owner(int apicId) {
    lock();
    try {
      LocalApic a = bus.physical(apicId);
      return a == null ? null : a.owner();
    } finally {
      unlock();
    }
  }

  /**
   * KVM_HC_SEND_IPI.
   *
   * @param low a bit for each physical ID from {@code first} on; high: those after
   * @param command as in the ICR
   * @param wide whether the words are of 64 bits, else of 32
   * @return how many took it
   */
  public int sendTo(long low, long high, int first, int command, boolean wide) {
    lock();
    try {
      return bus.sendToSet(low, first, command)
          + bus.sendToSet(high, first + (wide ? 64 : 32), command);
    } finally {
      unlock();
    }
  }

  /** Whether a message's address may not be with the IDs that there are. */
  public boolean isInvalidAddress(int addressHigh) {
    return bus.wideIds && (addressHigh & 0xff) != 0;
  }

  /**
   * KVM_SET_GSI_ROUTING.
   *
   * @param entries struct kvm_irq_routing_entry, one after another
   * @return false if one of them cannot be
   */
  public boolean setRoutes(ByteBuffer entries, int count) {
    lock();
    try {
      List<Route> list = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        Route r = Route.read(entries, i * KvmIrqRoutingEntry.SIZEOF, !split, bus.wideIds);
        if (r == null) {
          return false;
        }
        list.add(r);
      }
      RoutingTable table = RoutingTable.of(list);
      if (table != null) {
        routes = table;
      }
      return table != null;
    } finally {
      unlock();
    }
  }

  // ---- acknowledgements ----

  /** Has something done, with the lock held, whenever the guest acknowledges a GSI. */
  public Runnable onAcknowledge(int gsi, Runnable action) {
    AckListener listener = new AckListener(gsi, action);
    lock();
    try {
      ackListeners.add(listener);
    } finally {
      unlock();
    }
    return () -> {
      lock();
      try {
        ackListeners.removeIf(l -> l == listener);
      } finally {
        unlock();
      }
    };
  }

  private void acknowledgedGsi(int gsi) {
    if (gsi == RoutingTable.NONE) {
      return;
    }
    Pit8254 p = pit;
    if (p != null && gsi == 0) {
      p.acknowledged();
    }
    for (AckListener l : ackListeners) {
      if (l.gsi == gsi) {
        l.action.run();
      }
    }
  }

  /** Whether someone waits for the ends of interrupts of a pin of the I/O APIC. */
  private boolean isWatched(int pin) {
    int gsi = routes.gsi(KVM_IRQCHIP_IOAPIC, pin);
    Pit8254 p = pit;
    return (p != null && gsi == 0 && p.reinjects())
        || ackListeners.stream().anyMatch(l -> l.gsi == gsi);
  }

  /** With a split chip, the ends of level-triggered messages of user space's I/O APICs. */
  private final class SplitEoi implements EoiListener {
    @Override
    public boolean wantsEnd(LocalApic apic, int vector) {
      return wantsEnd(apic, vector, apic.isUnfinished(vector));
    }

    /**
     * A route whose destination was changed while its interrupt was under way still has its end
     * wanted from whoever has it, as on recent kernels.
     */
    private boolean wantsEnd(LocalApic apic, int vector, boolean has) {
      for (int gsi = 0; gsi < Math.min(splitPins, routes.size()); gsi++) {
        for (Route r : routes.routes(gsi)) {
          ApicMessage m = ((Route.Message) r).message(bus.wideIds);
          if (m.vector() == vector && m.levelTriggered() && (has || bus.matches(null, apic, m))) {
            return true;
          }
        }
      }
      return false;
    }

    @Override
    public void ended(LocalApic apic, int vector, boolean level) {
      if (wantsEnd(apic, vector, level)) {
        apic.owner().endOfInterrupt(vector);
      }
    }
  }

  // ---- ports and registers of the whole chip ----

  /** Whether ports are those of chips here. */
  public boolean hasPorts(int port, int size) {
    Pit8254 p = pit;
    return !split && (PicPair.hasPorts(port, size) || (p != null && p.hasPort(port, size)));
  }

  /** A read of ports that are here. */
  public int readPort(int port, int size) {
    lock();
    try {
      Pit8254 p = pit;
      return p != null && p.hasPort(port, size) ? p.read(port) : pics.read(port, size);
    } finally {
      unlock();
    }
  }

  /** A write of ports that are here. */
  public void writePort(int port, int size, int value) {
    lock();
    try {
      Pit8254 p = pit;
      if (p != null && p.hasPort(port, size)) {
        p.write(port, value);
      } else {
        pics.write(port, size, value);
      }
    } finally {
      unlock();
    }
  }

  /** Whether a guest-physical address is the I/O APIC's. */
  public boolean hasMemory(long gpa, int size) {
    return !split && ioapic.has(gpa, size);
  }

  public long readMemory(long gpa, int size) {
    lock();
    try {
      return ioapic.read(gpa, size);
    } finally {
      unlock();
    }
  }

  public void writeMemory(long gpa, int size, long value) {
    lock();
    try {
      ioapic.write(gpa, size, value);
    } finally {
      unlock();
    }
  }

  // ---- states ----

  /**
   * KVM_GET_IRQCHIP.
   *
   * @param chip KVM_IRQCHIP_*
   */
  public void save(int chip, ByteBuffer b, int at) {
    lock();
    try {
      if (chip == KVM_IRQCHIP_IOAPIC) {
        ioapic.save(b, at);
      } else {
        pics.save(chip, b, at);
      }
    } finally {
      unlock();
    }
  }

  /** KVM_SET_IRQCHIP. */
  public void load(int chip, ByteBuffer b, int at) {
    lock();
    try {
      if (chip == KVM_IRQCHIP_IOAPIC) {
        ioapic.load(b, at);
      } else {
        pics.load(chip, b, at);
      }
    } finally {
      unlock();
    }
  }

  // ---- the PIT ----

  /** KVM_CREATE_PIT2; false if there is one. */
  public boolean createPit(boolean speaker) {
    lock();
    try {
      if (pit != null) {
        return false;
      }
      pit = new Pit8254(timers, this::pitInterrupt, speaker);
      return true;
    } finally {
      unlock();
    }
  }

  public boolean hasPit() {
    return pit != null;
  }

  private void pitInterrupt() {
    set(TIMER, 0, true, false);
    set(TIMER, 0, false, false);
    for (LocalApic a : bus.apics()) {
      if (a.isWatched()) {
        a.deliverLint0();
      }
    }
  }

  /** KVM_GET_PIT2: the counters and, apart, the flags. */
  public int savePit(ByteBuffer b, int at) {
    lock();
    try {
      Pit8254 p = pit;
      if (p == null) {
        return 0;
      }
      p.save(b, at);
      return p.flags();
    } finally {
      unlock();
    }
  }

  /**
   * KVM_SET_PIT2.
   *
   * @param flags KVM_PIT_FLAGS_*; null to leave them (KVM_SET_PIT)
   */
  public void loadPit(ByteBuffer b, int at, @Nullable Integer flags) {
    lock();
    try {
      Pit8254 p = pit;
      if (p != null) {
        p.load(b, at, flags == null ? p.flags() : flags);
      }
    } finally {
      unlock();
    }
  }

  /** KVM_REINJECT_CONTROL. */
  public void setReinject(boolean on) {
    lock();
    try {
      Pit8254 p = pit;
      if (p != null) {
        p.setReinject(on);
      }
    } finally {
      unlock();
    }
  }
}
