package org.kvm4j.kvm.module.irqchip;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Where each global system interrupt goes, and back. Never changes. Source: Linux 6.1
 * virt/kvm/irqchip.c.
 */
final class RoutingTable {
  static final RoutingTable EMPTY = new RoutingTable(List.of());

  /** No GSI goes there. */
  static final int NONE = -1;

  private final List<List<Route>> byGsi;
  private final int[][] byPin = new int[Uapi.KVM_NR_IRQCHIPS][IoApic.PINS];

  private RoutingTable(List<Route> routes) {
    int size = 1;
    for (Route r : routes) {
      size = Math.max(size, r.gsi() + 1);
    }
    byGsi = new ArrayList<>(size);
    for (int gsi = 0; gsi < size; gsi++) {
      byGsi.add(List.of());
    }
    for (int[] pins : byPin) {
      Arrays.fill(pins, NONE);
    }
    for (Route r : routes) {
      List<Route> all = new ArrayList<>(byGsi.get(r.gsi()));
      all.add(r);
      byGsi.set(r.gsi(), all);
      if (r instanceof Route.Pin p) {
        byPin[p.chip()][p.pin()] = p.gsi();
      }
    }
  }

  /**
   * A table.
   *
   * @return null if a GSI would go to a chip twice, or to a message and elsewhere
   */
  static @Nullable RoutingTable of(List<Route> routes) {
    RoutingTable table = new RoutingTable(routes);
    for (List<Route> all : table.byGsi) {
      int chips = 0;
      for (Route r : all) {
        int bit = r instanceof Route.Pin p ? 1 << p.chip() : 0;
        if (all.size() > 1 && (bit == 0 || (chips & bit) != 0)) {
          return null;
        }
        chips |= bit;
      }
    }
    return table;
  }

  /** As a machine has it: GSIs 0 to 23 on the I/O APIC, 0 to 15 on the PICs, too. */
  static RoutingTable standard() {
    List<Route> routes = new ArrayList<>();
    for (int gsi = 0; gsi < IoApic.PINS; gsi++) {
      routes.add(new Route.Pin(gsi, Uapi.KVM_IRQCHIP_IOAPIC, gsi));
      if (gsi < PicPair.PINS) {
        int chip = gsi < 8 ? Uapi.KVM_IRQCHIP_PIC_MASTER : Uapi.KVM_IRQCHIP_PIC_SLAVE;
        routes.add(new Route.Pin(gsi, chip, gsi));
      }
    }
    return new RoutingTable(routes);
  }

  /** The routes of a GSI; none if it is not in the table. */
  List<Route> routes(int gsi) {
    return gsi >= 0 && gsi < byGsi.size() ? byGsi.get(gsi) : List.of();
  }

  /** One more than the highest GSI. */
  int size() {
    return byGsi.size();
  }

  /** The GSI of a pin, or {@link #NONE}. */
  int gsi(int chip, int pin) {
    return byPin[chip][pin];
  }
}
