/** VM exit: intercepts, reasons, qualifications, saving of state. */
@NullMarked
package org.kvm4j.vmx.exit;

import org.jspecify.annotations.NullMarked;
