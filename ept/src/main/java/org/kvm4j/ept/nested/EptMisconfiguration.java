package org.kvm4j.ept.nested;

import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.paging.PagingContext;

/**
 * The rules that a present EPT entry must keep, in the order in which they are reported. The walk
 * decides by masks; these say which rule was broken.
 *
 * <p>Source: SDM 29.3.3.1 "EPT Misconfigurations".
 */
public enum EptMisconfiguration {
  /** Bit 0 is clear and bit 1 is set. */
  WRITE_WITHOUT_READ("writes are allowed and reads are not") {
    @Override
    boolean holds(long entry, int shift, PagingContext context) {
      return (entry & (EptEntry.READ | EptEntry.WRITE)) != EptEntry.WRITE;
    }
  },

  /** Bit 0 is clear, an execute bit is set, and the processor does not support execute-only. */
  EXECUTE_WITHOUT_READ(
      "only execution is allowed, which IA32_VMX_EPT_VPID_CAP bit 0 does not offer") {
    @Override
    boolean holds(long entry, int shift, PagingContext context) {
      long execute = EptEntry.EXECUTE | (context.modeBasedExecute ? EptEntry.EXECUTE_USER : 0);
      return context.eptExecuteOnly || (entry & EptEntry.READ) != 0 || (entry & execute) == 0;
    }
  },

  /** With EPT paging-write control: bit 58 of a leaf is set, and bit 0 is clear. */
  PAGING_WRITE_WITHOUT_READ("paging writes are allowed and reads are not") {
    @Override
    boolean holds(long entry, int shift, PagingContext context) {
      return !context.eptPagingWrite
          || (entry & EptEntry.READ) != 0
          || (entry & EptEntry.PAGING_WRITE) == 0
          || !EptEntry.isLeaf(entry, shift);
    }
  },

  /** Address bits beyond MAXPHYADDR. */
  ADDRESS_WIDTH("address bits beyond the physical-address width are set") {
    @Override
    boolean holds(long entry, int shift, PagingContext context) {
      return (entry & EptEntry.ADDRESS & ~0L << context.physicalBits) == 0;
    }
  },

  /** Bit 7 where no page of that size can be mapped. */
  PAGE_SIZE("bit 7 is set, where no page can be mapped") {
    @Override
    boolean holds(long entry, int shift, PagingContext context) {
      return switch (shift) {
        case 12 -> true;
        case 21 -> context.eptPages2m || (entry & EptEntry.PAGE) == 0;
        case 30 -> context.eptPages1g || (entry & EptEntry.PAGE) == 0;
        default -> (entry & EptEntry.PAGE) == 0;
      };
    }
  },

  /** Bits 6:3 of an entry that references another paging structure. */
  TABLE_RESERVED("bits 6:3 are set in an entry that references a paging structure") {
    @Override
    boolean holds(long entry, int shift, PagingContext context) {
      return EptEntry.isLeaf(entry, shift) || (entry & 0x78) == 0;
    }
  },

  /** Address bits below the size of the page. */
  PAGE_ALIGNMENT("address bits below the size of the page are set") {
    @Override
    boolean holds(long entry, int shift, PagingContext context) {
      return !EptEntry.isLeaf(entry, shift) || (entry & EptEntry.ADDRESS & (1L << shift) - 1) == 0;
    }
  },

  /** Memory type 2, 3 or 7. */
  MEMORY_TYPE("the EPT memory type is 2, 3 or 7") {
    @Override
    boolean holds(long entry, int shift, PagingContext context) {
      int type = (int) (entry >>> EptEntry.MEMORY_TYPE_SHIFT) & 7;
      return !EptEntry.isLeaf(entry, shift) || type != 2 && type != 3 && type != 7;
    }
  };

  private final String text;

  EptMisconfiguration(String text) {
    this.text = text;
  }

  abstract boolean holds(long entry, int shift, PagingContext context);

  /** What is wrong, for messages. */
  public String text() {
    return text;
  }

  /**
   * The first rule that a present entry breaks.
   *
   * @param shift log2 of what one entry of its level covers: 12, 21, 30, 39 or 48
   * @return null if it keeps all
   */
  public static @Nullable EptMisconfiguration of(long entry, int shift, PagingContext context) {
    for (EptMisconfiguration rule : values()) {
      if (!rule.holds(entry, shift, context)) {
        return rule;
      }
    }
    return null;
  }
}
