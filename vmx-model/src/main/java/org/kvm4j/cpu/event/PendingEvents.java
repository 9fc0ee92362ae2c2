package org.kvm4j.cpu.event;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;

/**
 * Events between instructions, in the order of SDM Vol. 3, "Prioritization of Concurrent Events"
 * (table 6-2), and of "Other Causes of VM Exits" for those of VMX.
 */
public final class PendingEvents {
  private PendingEvents() {}

  /**
   * Delivers what is pending and not blocked, one after the other, until a VM exit is taken ({@link
   * Cpu#left}). What is blocked stays pending.
   *
   * @throws org.kvm4j.cpu.core.NestedFault of a delivery, with nothing changed
   */
  public static void serve(Cpu c) {
    int requests = c.requests();
    if (c.guest != null && c.guest.afterInstruction()) {
      return;
    }
    if ((requests & (Cpu.REQUEST_INIT | Cpu.REQUEST_SIPI)) != 0) {
      initAndStartUp(c, requests);
    }
    if (!c.left) {
      trapsAndInterrupts(c, requests);
    }
    if (!c.left && c.guest != null) {
      // What was delivered may have pushed its frame there.
      c.guest.afterInstruction();
    }
  }

  /**
   * Whether something is pending that a processor which is not active would look at. Where it does
   * not end its inactivity, nothing comes of it.
   */
  public static boolean wakes(Cpu c) {
    int requests = c.requests();
    int always = Cpu.REQUEST_INIT | Cpu.REQUEST_SIPI | Cpu.REQUEST_KICK;
    GuestMode g = c.guest;
    if (c.activity == Cpu.ACTIVE || (requests & always) != 0 || c.pendingDebug != 0) {
      return true;
    }
    if ((requests & Cpu.REQUEST_NMI) != 0
        && c.activity != Cpu.WAIT_FOR_SIPI
        && (!c.nmiBlocked || g != null)) {
      return true;
    }
    return g != null && g.windowPending()
        || (requests & Cpu.REQUEST_INTERRUPT) != 0
            && c.activity <= Cpu.HALTED
            && ((c.flagsRest & Flags.IF) != 0 || g != null && g.interruptExits())
            && c.platform.interruptDue();
  }

  /**
   * INIT and start-up IPIs. SDM Vol. 3, "MP Initialization"; "Other Causes of VM Exits" for
   * non-root operation; in VMX root operation INIT stays pending.
   */
  private static void initAndStartUp(Cpu c, int requests) {
    GuestMode g = c.guest;
    if ((requests & Cpu.REQUEST_INIT) != 0) {
      if (g != null) {
        if (g.init()) {
          return;
        }
      } else if (c.virtualization == null || !c.virtualization.inVmxOperation()) {
        c.clearRequest(Cpu.REQUEST_INIT);
        c.init();
        c.platform.initialized();
        c.charge(1);
      }
    }
    if ((requests & Cpu.REQUEST_SIPI) != 0) {
      int vector = c.takeStartUp();
      if (vector >= 0 && c.activity == Cpu.WAIT_FOR_SIPI && (g == null || !g.sipi(vector))) {
        c.startUp(vector);
      }
    }
  }

  /** Traps, windows and interrupts. */
  private static void trapsAndInterrupts(Cpu c, int requests) {
    GuestMode g = c.guest;
    if (g != null && g.pendingMonitorTrap()) {
      return;
    }
    if (c.pendingDebug != 0 && c.shadow != Cpu.SHADOW_MOV_SS && c.activity <= Cpu.HALTED) {
      if (DebugUnit.pendingTraps(c)) {
        c.charge(1);
      }
      if (c.left) {
        return;
      }
    }
    if (g != null && g.window()) {
      return;
    }
    if ((requests & Cpu.REQUEST_NMI) != 0 && c.shadow == 0 && c.activity != Cpu.WAIT_FOR_SIPI) {
      if (g != null && g.nmi()) {
        return;
      }
      if (!c.nmiBlocked) {
        c.clearRequest(Cpu.REQUEST_NMI);
        c.activity = Cpu.ACTIVE;
        c.charge(1);
        EventDelivery.nmi(c);
        if (c.left) {
          return;
        }
      }
    }
    if (g != null) {
      if (g.interruptWindow()) {
        return;
      }
      int vector = g.virtualInterrupt();
      if (vector >= 0) {
        c.activity = Cpu.ACTIVE;
        c.charge(1);
        EventDelivery.interrupt(c, vector);
        if (c.left) {
          return;
        }
      }
    }
    if ((requests & Cpu.REQUEST_INTERRUPT) != 0 && c.platform.interruptDue()) {
      if (g != null && g.interruptExits()) {
        g.externalInterrupt();
      } else if ((c.flagsRest & Flags.IF) != 0 && c.shadow == 0 && c.activity <= Cpu.HALTED) {
        c.clearRequest(Cpu.REQUEST_INTERRUPT);
        int vector = c.platform.acknowledgeInterrupt();
        if (vector >= 0) {
          c.activity = Cpu.ACTIVE;
          c.charge(1);
          EventDelivery.interrupt(c, vector);
        }
      }
    }
  }
}
